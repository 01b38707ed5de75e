# The user data of a launcher's instance: settings, the cloud's functions, and what all clouds share.
# Takes what the modules of the clouds have in common, gives one script. Never: a secret.

variable "cloud" {
  description = "Whose functions: aws, azure or gcp."
  type        = string
  validation {
    condition     = contains(["aws", "azure", "gcp"], var.cloud)
    error_message = "cloud is aws, azure or gcp."
  }
}

variable "token_secret" {
  description = "Where the pool's token is."
  type        = string
}

variable "key_secret" {
  description = "Where the pool's private key is."
  type        = string
}

variable "settings" {
  description = "Variables of the launcher (docs/CONFIGURATION.md)."
  type        = map(string)
}

variable "release" {
  description = "The release to install; null when the image has the launcher."
  type = object({
    from           = string
    version        = string
    key            = string
    install_sha256 = string
  })
}

variable "http_proxy" {
  description = "Proxy of everything that goes out; empty for none."
  type        = string
}

variable "no_proxy" {
  description = "What is reached without it."
  type        = string
}

variable "custom_ca_certificates" {
  description = "CAs to trust besides the known ones, as gantry ca bundle writes them; empty for none."
  type        = string
}

variable "extra" {
  description = "Settings that only this cloud has."
  type        = map(string)
}

locals {
  launcher_env = join("\n", [for name in sort(keys(var.settings)) : "${name}=${var.settings[name]}"])
  settings = merge(var.extra, {
    GANTRY_TOKEN_SECRET    = var.token_secret
    GANTRY_KEY_SECRET      = var.key_secret
    GANTRY_LAUNCHER_ENV    = local.launcher_env
    GANTRY_HTTP_PROXY      = var.http_proxy
    GANTRY_NO_PROXY        = var.no_proxy
    GANTRY_CUSTOM_CAS      = var.custom_ca_certificates
    GANTRY_RELEASE_FROM    = var.release == null ? "" : var.release.from
    GANTRY_RELEASE_VERSION = var.release == null ? "" : var.release.version
    GANTRY_RELEASE_KEY     = var.release == null ? "" : var.release.key
    GANTRY_INSTALL_SHA256  = var.release == null ? "" : var.release.install_sha256
  })
  quoted = [for name in sort(keys(local.settings)) :
    "${name}='${replace(local.settings[name], "'", "'\\''")}'" if local.settings[name] != ""
  ]
  scripts = "${path.module}/../../user-data"
}

output "script" {
  description = "The user data."
  value = join("\n", concat(
    ["#!/usr/bin/env bash"],
    local.quoted,
    [file("${local.scripts}/${var.cloud}.sh"), file("${local.scripts}/core.sh")],
  ))

  precondition {
    condition     = length([for value in values(var.settings) : value if strcontains(value, "\n")]) == 0
    error_message = "a value in settings has more than one line."
  }
}
