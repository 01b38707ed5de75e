# A pool's launchers in two private subnets. The two secrets are made beforehand, by hand or by whoever keeps secrets:
#
#   aws secretsmanager create-secret --name gantry/token --secret-string file://pool.token
#   aws secretsmanager create-secret --name gantry/key --secret-string file://pool.key

terraform {
  required_version = ">= 1.5"
}

provider "aws" {
  region = "eu-west-1"
}

module "launchers" {
  source = "../../ec2"

  name         = "gantry-launchers"
  token_secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/token-AbCdEf"
  key_secret   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/key-AbCdEf"

  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]

  release = {
    from           = "https://releases.example.com/gantry/0.1.0"
    version        = "0.1.0"
    key            = file("${path.module}/release.pub")
    install_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
  settings = {
    GANTRY_WORKER_TRUST_KEYS       = "the public key of the worker's release"
    SPACELIFT_DEFAULT_RUNNER_IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/runner@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }
  ecr_repository_arns = ["arn:aws:ecr:eu-west-1:123456789012:repository/runner"]
  max_size            = 10
}

output "autoscaling_group" {
  value = module.launchers.autoscaling_group_name
}
