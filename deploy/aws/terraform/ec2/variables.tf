variable "name" {
  description = "Name of the autoscaling group, and the beginning of every other name."
  type        = string
  default     = "gantry-launchers"
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
  description = "The same for the pool's private key, PEM or base64 of it."
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
    error_message = "settings holds a secret, and would put it into the user data and the state: name where it is in token_secret and key_secret."
  }
}

variable "release" {
  description = "The release to install at boot (docs/deploy/EC2.md); null when the image has the launcher (deploy/packer)."
  type = object({
    from           = string
    version        = string
    key            = string
    install_sha256 = string
  })
  default = null
}

variable "release_bucket_arn" {
  description = "Bucket of a release whose `from` is s3://…; empty otherwise."
  type        = string
  default     = ""
}

variable "http_proxy" {
  description = "Proxy of launcher, runs, dockerd and boot, such as http://proxy.example.com:8080. It stands in the user data: no password."
  type        = string
  default     = ""
}

variable "no_proxy" {
  description = "Comma list of what is reached without the proxy; the metadata service always is."
  type        = string
  default     = ""
}

variable "custom_ca_certificates" {
  description = "base64 of {\"caCertificates\": [base64 of PEM, …]}, as `gantry ca bundle` writes it; trusted besides the known CAs."
  type        = string
  default     = ""
}

variable "vpc_id" {
  description = "Network of the instances."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that network. Nothing dials in: a way out (NAT, proxy, endpoints) is enough."
  type        = list(string)
}

variable "image_id" {
  description = "AMI (deploy/packer makes one); empty for the newest Debian 12 of the architecture."
  type        = string
  default     = ""
}

variable "architecture" {
  description = "amd64 or arm64; instance_types have to be of it."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "architecture is amd64 or arm64."
  }
}

variable "instance_types" {
  description = "In order of preference; more than one helps spot instances."
  type        = list(string)
  default     = ["t4g.medium"]
}

variable "spot" {
  description = "Spot instances. The launcher takes no run after a notice; an apply that does not end within two minutes is cut by Amazon."
  type        = bool
  default     = false
}

variable "min_size" {
  description = "Fewest instances."
  type        = number
  default     = 1
}

variable "max_size" {
  description = "Most instances. The number between is left to an autoscaler."
  type        = number
  default     = 5
}

variable "disk_gb" {
  description = "Size of the encrypted root disk: images, workspaces, spools."
  type        = number
  default     = 50
}

variable "disk_kms_key_id" {
  description = "KMS key of the disk; empty for the account's own for disks."
  type        = string
  default     = ""
}

variable "root_device" {
  description = "Name of the image's root device."
  type        = string
  default     = "/dev/xvda"
}

variable "drain_heartbeat_seconds" {
  description = "Time-out of the terminate hook without a heartbeat. The instance sends one every minute; Amazon allows 100 of these in all."
  type        = number
  default     = 600
  validation {
    condition     = var.drain_heartbeat_seconds >= 120 && var.drain_heartbeat_seconds <= 7200
    error_message = "drain_heartbeat_seconds is between 120 and 7200: heartbeats come every 60 s."
  }
}

variable "ecr_repository_arns" {
  description = "Repositories of Amazon ECR that images may be pulled from by the instance's role."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "Ships the launcher's log to a log group of its own and keeps it this long; 0 ships nothing. Needs an image with the CloudWatch agent."
  type        = number
  default     = 0
}

variable "session_manager" {
  description = "Lets people in by Session Manager instead of ssh (AmazonSSMManagedInstanceCore; the image needs its agent)."
  type        = bool
  default     = false
}

variable "egress_cidrs" {
  description = "IPv4 ranges that instances may reach; every port."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
