variable "name" {
  description = "Name of the service, of the group of hosts, and the beginning of every other name."
  type        = string
  default     = "gantry-launchers"
}

variable "cluster_name" {
  description = "ECS cluster that the launchers and their hosts join."
  type        = string
}

variable "other_capacity_providers" {
  description = "Capacity providers that the cluster has besides this module's: the module keeps the cluster's list."
  type        = list(string)
  default     = []
}

variable "image" {
  description = "The launcher's image, by digest."
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image names a digest (NAME@sha256:…): a tag can be moved under a running service."
  }
}

variable "token_secret" {
  description = "ARN of the secret (Secrets Manager, or an SSM parameter) that holds the pool's token; ARN#MEMBER where it is a JSON object."
  type        = string
  validation {
    condition     = can(regex("^arn:[^:]+:(secretsmanager|ssm):", var.token_secret))
    error_message = "token_secret is an ARN of Secrets Manager or SSM, never the token itself."
  }
}

variable "key_secret" {
  description = "The same for the pool's private key. ECS hands it over as a variable, so it holds base64 of the PEM, on one line."
  type        = string
  validation {
    condition     = can(regex("^arn:[^:]+:(secretsmanager|ssm):", var.key_secret))
    error_message = "key_secret is an ARN of Secrets Manager or SSM, never the key itself."
  }
}

variable "kms_key_arns" {
  description = "KMS keys of the secrets, where they are not Amazon's own."
  type        = list(string)
  default     = []
}

variable "settings" {
  description = "Variables of the launcher (docs/CONFIGURATION.md); GANTRY_WORKER_TRUST_KEYS at least."
  type        = map(string)
  validation {
    condition     = contains(keys(var.settings), "GANTRY_WORKER_TRUST_KEYS")
    error_message = "settings lacks GANTRY_WORKER_TRUST_KEYS: without it no launcher starts."
  }
  validation {
    condition     = !contains(keys(var.settings), "SPACELIFT_TOKEN") && !contains(keys(var.settings), "SPACELIFT_POOL_PRIVATE_KEY")
    error_message = "settings holds a secret, and would put it into the task definition: name where it is in token_secret and key_secret."
  }
}

variable "http_proxy" {
  description = "Proxy of launcher, runs, dockerd and the ECS agent, such as http://proxy.example.com:8080; no password."
  type        = string
  default     = ""
}

variable "no_proxy" {
  description = "Comma list of what is reached without the proxy; the metadata service and Docker's socket always are."
  type        = string
  default     = ""
}

variable "custom_ca_certificates" {
  description = "base64 of {\"caCertificates\": [base64 of PEM, …]}, as `gantry ca bundle` writes it; trusted besides the known CAs."
  type        = string
  default     = ""
}

variable "vpc_id" {
  description = "Network of the hosts."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that network."
  type        = list(string)
}

variable "image_id" {
  description = "AMI of the hosts; empty for the newest ECS-optimized Amazon Linux 2023 of the architecture."
  type        = string
  default     = ""
}

variable "architecture" {
  description = "amd64 or arm64; instance_type and image have to be of it."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "architecture is amd64 or arm64."
  }
}

variable "instance_type" {
  description = "Of the hosts; one launcher each."
  type        = string
  default     = "t4g.medium"
}

variable "launchers" {
  description = "Launchers at first. Afterwards the number is left to an autoscaler (desired count of the service)."
  type        = number
  default     = 1
}

variable "max_size" {
  description = "Most hosts."
  type        = number
  default     = 5
}

variable "launcher_memory_mb" {
  description = "Memory reserved for the launcher itself. Runs are containers beside it and take theirs from the rest of the host."
  type        = number
  default     = 256
}

variable "stop_timeout_seconds" {
  description = "How long ECS waits for a launcher that was told to stop: above the longest run and its grace (SPACELIFT_LAUNCHER_RUN_TIMEOUT, GANTRY_APPLY_STOP_GRACE)."
  type        = number
  default     = 5400
}

variable "disk_gb" {
  description = "Size of the encrypted root disk."
  type        = number
  default     = 50
}

variable "ecr_repository_arns" {
  description = "Repositories of Amazon ECR that images of runs may be pulled from by the task's role."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "How long the launcher's log is kept in CloudWatch."
  type        = number
  default     = 30
}

variable "egress_cidrs" {
  description = "IPv4 ranges that hosts may reach; every port."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
