# Machine images with Docker, the launcher and hardening: for Amazon, Azure and Google.
#
#   packer init deploy/packer
#   packer build -only='amazon-ebs.launcher' -var release_from=… -var release_version=… -var release_key=… \
#       -var install_sha256=… deploy/packer
#
# What is done to the machine is one script, provision, which can be tried without any cloud (scripts/try-image).
# Never: a secret in an image; a launcher that was not verified; a password.

packer {
  required_version = ">= 1.9"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3"
    }
    azure = {
      source  = "github.com/hashicorp/azure"
      version = ">= 2.1"
    }
    googlecompute = {
      source  = "github.com/hashicorp/googlecompute"
      version = ">= 1.1"
    }
  }
}

variable "release_from" {
  type        = string
  description = "URL of the release."
}

variable "release_version" {
  type = string
}

variable "release_key" {
  type        = string
  description = "Public key of the release."
}

variable "install_sha256" {
  type        = string
  description = "SHA-256 of the release's install script."
}

variable "architecture" {
  type    = string
  default = "arm64"
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "The architecture is amd64 or arm64."
  }
}

variable "audit" {
  type        = bool
  default     = false
  description = "Installs auditd with rules about the launcher's secrets and Docker's socket."
}

variable "log_agent" {
  type        = string
  default     = ""
  description = "URL of the CloudWatch agent's .deb of Amazon; empty for none."
}

variable "log_agent_sha256" {
  type    = string
  default = ""
}

variable "aws_region" {
  type    = string
  default = "eu-west-1"
}

variable "aws_kms_key_id" {
  type        = string
  default     = ""
  description = "Key of the image's snapshot; empty for the account's own."
}

variable "azure_resource_group" {
  type    = string
  default = "gantry"
}

variable "azure_subscription_id" {
  type    = string
  default = ""
}

variable "azure_location" {
  type    = string
  default = "westeurope"
}

variable "gcp_project" {
  type    = string
  default = ""
}

variable "gcp_zone" {
  type    = string
  default = "europe-west1-b"
}

locals {
  stamp = formatdate("YYYYMMDDhhmm", timestamp())
  name  = "gantry-launcher-${replace(var.release_version, ".", "-")}-${var.architecture}-${local.stamp}"
  tags  = { Name = local.name, gantry_version = var.release_version }
}

source "amazon-ebs" "launcher" {
  region          = var.aws_region
  ami_name        = local.name
  ami_description = "Gantry launcher ${var.release_version}"
  instance_type   = var.architecture == "arm64" ? "t4g.medium" : "t3.medium"
  ssh_username    = "admin"
  # A key for this build only, which provision takes away with everything else that belongs to it.
  temporary_key_pair_type = "ed25519"
  encrypt_boot            = true
  kms_key_id              = var.aws_kms_key_id
  imds_support            = "v2.0"
  tags                    = local.tags

  source_ami_filter {
    filters = {
      name                = "debian-12-${var.architecture}-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    # Debian's own account.
    owners      = ["136693071363"]
    most_recent = true
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 10
    delete_on_termination = true
  }
}

source "azure-arm" "launcher" {
  use_azure_cli_auth                = true
  subscription_id                   = var.azure_subscription_id
  managed_image_name                = local.name
  managed_image_resource_group_name = var.azure_resource_group
  location                          = var.azure_location
  os_type                           = "Linux"
  image_publisher                   = "Debian"
  image_offer                       = "debian-12"
  image_sku                         = var.architecture == "arm64" ? "12-arm64" : "12-gen2"
  vm_size                           = var.architecture == "arm64" ? "Standard_D2ps_v5" : "Standard_B2s"
  azure_tags                        = local.tags
}

source "googlecompute" "launcher" {
  project_id          = var.gcp_project
  zone                = var.gcp_zone
  image_name          = local.name
  image_family        = "gantry-launcher"
  source_image_family = var.architecture == "arm64" ? "debian-12-arm64" : "debian-12"
  machine_type        = var.architecture == "arm64" ? "t2a-standard-2" : "e2-medium"
  ssh_username        = "packer"
  enable_secure_boot  = true
}

build {
  sources = ["source.amazon-ebs.launcher", "source.azure-arm.launcher", "source.googlecompute.launcher"]

  provisioner "file" {
    source      = "${path.root}/provision"
    destination = "/tmp/provision"
  }

  provisioner "shell" {
    execute_command = "chmod +x {{ .Path }}; sudo -n env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "CLOUD=${source.type == "amazon-ebs" ? "aws" : source.type == "azure-arm" ? "azure" : "gcp"}",
      "RELEASE_FROM=${var.release_from}",
      "RELEASE_VERSION=${var.release_version}",
      "RELEASE_KEY=${var.release_key}",
      "INSTALL_SHA256=${var.install_sha256}",
      "AUDIT=${var.audit}",
      "LOG_AGENT=${var.log_agent}",
      "LOG_AGENT_SHA256=${var.log_agent_sha256}",
    ]
    inline = ["bash /tmp/provision", "rm /tmp/provision"]
  }

  post-processor "manifest" {
    output     = "image.json"
    strip_path = true
  }
}
