# A cluster of its own with launchers on it.

terraform {
  required_version = ">= 1.5"
}

provider "aws" {
  region = "eu-west-1"
}

resource "aws_ecs_cluster" "this" {
  name = "gantry"
}

module "launchers" {
  source = "../../ecs"

  cluster_name = aws_ecs_cluster.this.name
  image        = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/gantry-launcher@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  token_secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/token-AbCdEf"
  key_secret   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/key-AbCdEf"
  vpc_id       = "vpc-0123456789abcdef0"
  subnet_ids   = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  settings = {
    GANTRY_WORKER_TRUST_KEYS = "the public key of the worker's release"
  }
  launchers = 2
}
