# Work comes by a topic: requests that anybody sends who may, and the notifications of new objects.

data "google_storage_project_service_account" "storage" {}

data "google_project" "this" {}

locals {
  # The account that Pub/Sub acts as when it moves dead letters.
  pubsub = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "work" {
  name = "emberlite-work"
}

resource "google_pubsub_topic" "dead_letters" {
  name = "emberlite-dead-letters"
}

# Without a subscription a dead letter would be gone.
resource "google_pubsub_subscription" "dead_letters" {
  name                       = "emberlite-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  message_retention_duration = "1209600s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "work" {
  name  = "emberlite-work"
  topic = google_pubsub_topic.work.id
  # As long as an answer may take; then the message comes again.
  ack_deadline_seconds = 300

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.consume.uri}/events"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloud_run_v2_service.consume.uri
    }
  }

  # What can never work is answered with a status from 400 on, which Pub/Sub takes for a failure like any other: it ends
  # among the dead letters after this many.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 5
  }

  retry_policy {
    minimum_backoff = "2s"
    maximum_backoff = "300s"
  }

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letters.id
  role   = "roles/pubsub.publisher"
  member = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "work" {
  subscription = google_pubsub_subscription.work.id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}

resource "google_pubsub_topic_iam_member" "notifications" {
  topic  = google_pubsub_topic.work.id
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${data.google_storage_project_service_account.storage.email_address}"
}

resource "google_storage_notification" "inputs" {
  bucket             = google_storage_bucket.work.name
  topic              = google_pubsub_topic.work.id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = "in/"
  depends_on         = [google_pubsub_topic_iam_member.notifications]
}
