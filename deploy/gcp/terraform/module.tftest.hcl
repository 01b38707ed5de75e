# What the module plans, with a provider that is played: `terraform test` (scripts/try-terraform).

mock_provider "google" {}

variables {
  name         = "quay"
  project      = "dock"
  region       = "europe-west1"
  subnet_id    = "projects/dock/regions/europe-west1/subnetworks/inner"
  token_secret = "gantry-pool#TOKEN"
  key_secret   = "gantry-pool#KEY"
  settings     = { GANTRY_WORKER_TRUST_KEYS = "k" }
}

run "safe_by_default" {
  command = apply

  assert {
    condition     = [for grant in google_secret_manager_secret_iam_member.launcher : grant.secret_id] == ["gantry-pool"]
    error_message = "the account reads this one secret"
  }
  assert {
    condition     = alltrue([for one in google_compute_instance_template.launcher.network_interface : length(one.access_config) == 0])
    error_message = "no machine has an address outside"
  }
  assert {
    condition     = google_compute_instance_template.launcher.metadata["startup-script"] == output.user_data
    error_message = "the machines get the user data"
  }
  assert {
    condition     = alltrue([for one in google_compute_region_instance_group_manager.launchers.update_policy : one.type == "OPPORTUNISTIC"])
    error_message = "a change of the template ends no machine"
  }
}

run "no_token_instead_of_its_name" {
  command = plan
  variables {
    token_secret = "eyJicm9rZXIiOiJ4In0="
  }
  expect_failures = [var.token_secret]
}
