output "topic" {
  value       = google_pubsub_topic.work.id
  description = "Where requests are published that consume is to answer."
}

output "packages" {
  value       = google_storage_bucket.packages.name
  description = "Where packages lie: emberlite push model.ember --store s3://BUCKET with EMBER_S3_ENDPOINT=https://storage.googleapis.com."
}

output "work" {
  value       = google_storage_bucket.work.name
  description = "Objects below in/MODEL/ are answered below out/MODEL/."
}
