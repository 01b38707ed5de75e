# Launchers on Google's cloud: a managed group of machines that read the pool's secrets from Secret Manager by a service
# account of their own. The group replaces nothing by itself: who replaces a machine drains its launcher first.

locals {
  secret_ids = toset([for secret in [var.token_secret, var.key_secret] : split("#", secret)[0]])
  image_id   = var.image_id != "" ? var.image_id : "projects/debian-cloud/global/images/family/${var.architecture == "arm64" ? "debian-12-arm64" : "debian-12"}"
}

module "user_data" {
  source = "../../terraform/user-data"

  cloud                  = "gcp"
  token_secret           = var.token_secret
  key_secret             = var.key_secret
  settings               = var.settings
  release                = var.release
  http_proxy             = var.http_proxy
  no_proxy               = var.no_proxy
  custom_ca_certificates = var.custom_ca_certificates
  extra                  = { GANTRY_PROJECT = var.project }
}

resource "google_service_account" "launcher" {
  project      = var.project
  account_id   = substr(var.name, 0, 30)
  display_name = "Launchers of ${var.name}"
}

# Two secrets, not the project.
resource "google_secret_manager_secret_iam_member" "launcher" {
  for_each  = local.secret_ids
  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.launcher.email}"
}

resource "google_compute_instance_template" "launcher" {
  project      = var.project
  region       = var.region
  name_prefix  = "${substr(var.name, 0, 30)}-"
  machine_type = var.machine_type
  labels       = var.labels

  # Executed at every start, so that a rotated secret is there after one.
  metadata = {
    startup-script         = module.user_data.script
    block-project-ssh-keys = "true"
    enable-oslogin         = "TRUE"
    serial-port-enable     = "FALSE"
  }

  disk {
    source_image = local.image_id
    boot         = true
    auto_delete  = true
    disk_type    = "pd-balanced"
    disk_size_gb = var.disk_gb

    dynamic "disk_encryption_key" {
      for_each = var.disk_kms_key == "" ? [] : [var.disk_kms_key]
      content {
        kms_key_self_link = disk_encryption_key.value
      }
    }
  }

  # No access_config: no address outside.
  network_interface {
    subnetwork = var.subnet_id
  }

  service_account {
    email  = google_service_account.launcher.email
    scopes = ["cloud-platform"]
  }

  scheduling {
    automatic_restart           = !var.spot
    preemptible                 = var.spot
    provisioning_model          = var.spot ? "SPOT" : "STANDARD"
    instance_termination_action = var.spot ? "STOP" : null
    on_host_maintenance         = var.spot ? "TERMINATE" : "MIGRATE"
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_region_instance_group_manager" "launchers" {
  project            = var.project
  region             = var.region
  name               = var.name
  base_instance_name = substr(var.name, 0, 50)
  target_size        = var.launchers

  version {
    instance_template = google_compute_instance_template.launcher.self_link_unique
  }

  # Google waits for no launcher: a new template is for new machines (docs/deploy/GCP.md).
  update_policy {
    type                         = "OPPORTUNISTIC"
    minimal_action               = "REPLACE"
    max_surge_fixed              = 3
    max_unavailable_fixed        = 0
    instance_redistribution_type = "NONE"
  }

  lifecycle {
    ignore_changes = [target_size]
  }

  depends_on = [google_secret_manager_secret_iam_member.launcher]
}
