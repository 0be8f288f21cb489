# The function consume on Cloud Run: requests by Pub/Sub and new objects in, results into a bucket. Packages and objects are
# reached through Cloud Storage's S3-compatible endpoint, with the HMAC key of the service's own account.

resource "google_service_account" "consume" {
  account_id   = "emberlite-consume"
  display_name = "Emberlite's function consume"
}

resource "google_service_account" "push" {
  account_id   = "emberlite-push"
  display_name = "Pub/Sub on its way to consume"
}

# Packages, below models/.
resource "google_storage_bucket" "packages" {
  name                        = "${var.project}-emberlite-packages"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
}

# What is put below in/ is work; what comes of it lies below out/.
resource "google_storage_bucket" "work" {
  name                        = "${var.project}-emberlite-work"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
}

resource "google_storage_bucket_iam_member" "read_packages" {
  bucket = google_storage_bucket.packages.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.consume.member
}

resource "google_storage_bucket_iam_member" "read_inputs" {
  bucket = google_storage_bucket.work.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.consume.member

  condition {
    title      = "inputs"
    expression = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.work.name}/objects/in/\")"
  }
}

# Also to replace them: Cloud Storage has no conditional writes by this endpoint, so that a message that comes twice writes
# its result twice, the same bytes under the same name.
resource "google_storage_bucket_iam_member" "write_results" {
  bucket = google_storage_bucket.work.name
  role   = "roles/storage.objectUser"
  member = google_service_account.consume.member

  condition {
    title      = "results"
    expression = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.work.name}/objects/out/\")"
  }
}

resource "google_storage_hmac_key" "consume" {
  service_account_email = google_service_account.consume.email
}

resource "google_secret_manager_secret" "hmac" {
  secret_id = "emberlite-consume-hmac"

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "hmac" {
  secret      = google_secret_manager_secret.hmac.id
  secret_data = google_storage_hmac_key.consume.secret
}

resource "google_secret_manager_secret_iam_member" "hmac" {
  secret_id = google_secret_manager_secret.hmac.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.consume.member
}

resource "google_cloud_run_v2_service" "consume" {
  name                = "emberlite-consume"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false

  template {
    service_account = google_service_account.consume.email
    timeout         = "300s"
    # No more than EMBER_MAX_REQUESTS, which refuses what is beyond.
    max_instance_request_concurrency = 64

    scaling {
      min_instance_count = 0
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      # Cloud Run sets PORT to this.
      ports {
        container_port = 8080
      }

      env {
        name  = "EMBER_STORE"
        value = "s3://${google_storage_bucket.packages.name}"
      }
      env {
        name  = "EMBER_INPUTS"
        value = "s3://${google_storage_bucket.work.name}/in"
      }
      env {
        name  = "EMBER_RESULTS"
        value = "s3://${google_storage_bucket.work.name}/out"
      }
      env {
        name  = "EMBER_S3_ENDPOINT"
        value = "https://storage.googleapis.com"
      }
      env {
        name  = "EMBER_MAX_REQUESTS"
        value = "128"
      }
      env {
        name  = "AWS_REGION"
        value = "auto"
      }
      env {
        name  = "AWS_ACCESS_KEY_ID"
        value = google_storage_hmac_key.consume.access_id
      }
      env {
        name = "AWS_SECRET_ACCESS_KEY"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.hmac.secret_id
            version = google_secret_manager_secret_version.hmac.version
          }
        }
      }

      startup_probe {
        period_seconds    = 1
        failure_threshold = 60
        http_get {
          path = "/v2/health/ready"
        }
      }
      liveness_probe {
        http_get {
          path = "/healthz"
        }
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
        startup_cpu_boost = true
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.hmac]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  name     = google_cloud_run_v2_service.consume.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}
