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

variable "key_vault_id" {
  description = "Resource id of the Key Vault (with Azure RBAC) that holds the two secrets."
  type        = string
}

variable "key_vault_uri" {
  description = "Its address, https://NAME.vault.azure.net."
  type        = string
}

variable "token_secret" {
  description = "Name of the vault's secret that holds the pool's token; NAME#MEMBER where it is a JSON object."
  type        = string
  validation {
    condition     = can(regex("^[0-9A-Za-z-]{1,127}(#.+)?$", var.token_secret))
    error_message = "token_secret is a name in the Key Vault, never the token itself."
  }
}

variable "key_secret" {
  description = "The same for the pool's private key, PEM or base64 of it."
  type        = string
  validation {
    condition     = can(regex("^[0-9A-Za-z-]{1,127}(#.+)?$", var.key_secret))
    error_message = "key_secret is a name in the Key Vault, never the key itself."
  }
}

variable "resource_group_name" {
  description = "Where everything goes."
  type        = string
}

variable "location" {
  description = "Region of the machines."
  type        = string
}

variable "subnet_id" {
  description = "Private subnet of the machines. Nothing dials in."
  type        = string
}

variable "admin_ssh_public_key" {
  description = "Azure makes no Linux machine without one; the security group lets nobody use it."
  type        = string
}

variable "image_id" {
  description = "Image (deploy/packer makes one); empty for Debian 12."
  type        = string
  default     = ""
}

variable "architecture" {
  description = "amd64 or arm64; machine_size has to be of it."
  type        = string
  default     = "amd64"
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "architecture is amd64 or arm64."
  }
}

variable "machine_size" {
  description = "Of the machines."
  type        = string
  default     = "Standard_B2s"
}

variable "encryption_at_host" {
  description = "Encrypts temporary disk and caches too; the subscription needs the feature EncryptionAtHost."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
