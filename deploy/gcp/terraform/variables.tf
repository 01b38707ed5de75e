variable "name" {
  description = "Name of the group, and the beginning of every other name."
  type        = string
  default     = "gantry-launchers"
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
  description = "The release to install at boot; null when the image has the launcher (deploy/packer)."
  type = object({
    from           = string
    version        = string
    key            = string
    install_sha256 = string
  })
  default = null
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

variable "disk_gb" {
  description = "Size of the root disk: images, workspaces, spools."
  type        = number
  default     = 50
}

variable "spot" {
  description = "Spot instances. They go at short notice; an apply that does not end in it is cut by the cloud."
  type        = bool
  default     = false
}

variable "launchers" {
  description = "Launchers at first. Afterwards the number is left to an autoscaler."
  type        = number
  default     = 1
}

variable "project" {
  description = "Project of the machines and of the secrets."
  type        = string
}

variable "region" {
  description = "Region of the machines."
  type        = string
}

variable "subnet_id" {
  description = "Subnetwork (self link) of the machines. They have no address outside; a way out is Cloud NAT or a proxy."
  type        = string
}

variable "token_secret" {
  description = "Id of the secret of Secret Manager that holds the pool's token; ID#MEMBER where it is a JSON object."
  type        = string
  validation {
    condition     = can(regex("^[0-9A-Za-z_-]{1,255}(#.+)?$", var.token_secret))
    error_message = "token_secret is the id of a secret, never the token itself."
  }
}

variable "key_secret" {
  description = "The same for the pool's private key, PEM or base64 of it."
  type        = string
  validation {
    condition     = can(regex("^[0-9A-Za-z_-]{1,255}(#.+)?$", var.key_secret))
    error_message = "key_secret is the id of a secret, never the key itself."
  }
}

variable "image_id" {
  description = "Image (deploy/packer makes one); empty for Debian 12."
  type        = string
  default     = ""
}

variable "architecture" {
  description = "amd64 or arm64; machine_type has to be of it."
  type        = string
  default     = "amd64"
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "architecture is amd64 or arm64."
  }
}

variable "machine_type" {
  description = "Of the machines."
  type        = string
  default     = "e2-medium"
}

variable "disk_kms_key" {
  description = "Key of Cloud KMS for the disk; empty for Google's own."
  type        = string
  default     = ""
}

variable "labels" {
  description = "Labels of everything."
  type        = map(string)
  default     = {}
}
