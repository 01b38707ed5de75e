# A pool's launchers in a subnetwork that is there. The two secrets are made beforehand:
#
#   gcloud secrets create gantry-token --data-file=pool.token
#   gcloud secrets create gantry-key --data-file=pool.key

terraform {
  required_version = ">= 1.5"
}

provider "google" {
  project = "example"
  region  = "europe-west1"
}

module "launchers" {
  source = "../"

  project      = "example"
  region       = "europe-west1"
  subnet_id    = "projects/example/regions/europe-west1/subnetworks/inner"
  token_secret = "gantry-token"
  key_secret   = "gantry-key"
  image_id     = "projects/example/global/images/family/gantry-launcher"
  settings = {
    GANTRY_WORKER_TRUST_KEYS = "the public key of the worker's release"
  }
}
