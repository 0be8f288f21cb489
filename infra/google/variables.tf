variable "project" {
  type        = string
  description = "The project that all of this is made in."
}

variable "region" {
  type        = string
  default     = "europe-west3"
  description = "Where the service runs and the buckets lie."
}

variable "image" {
  type        = string
  description = "The image of the function consume, as infra/container builds it, in Artifact Registry."
}

variable "max_instances" {
  type        = number
  default     = 10
  description = "How many instances there may be at once."
}
