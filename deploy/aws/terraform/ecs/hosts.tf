# The hosts: a group of their own, which ECS fills and empties. ECS drains a host before it goes, and waits for its launcher.

locals {
  image_name = var.architecture == "arm64" ? "amazon-linux-2023/arm64" : "amazon-linux-2023"
  image_id   = var.image_id != "" ? var.image_id : "resolve:ssm:/aws/service/ecs/optimized-ami/${local.image_name}/recommended/image_id"
  user_data = join("\n", concat([
    "#!/usr/bin/env bash",
    "set -euo pipefail",
    "install -d -m 0711 ${local.data_dir}",
    "cat >>/etc/ecs/ecs.config <<'CONFIG'",
    "ECS_CLUSTER=${var.cluster_name}",
    "ECS_CONTAINER_STOP_TIMEOUT=${var.stop_timeout_seconds}s",
    "ECS_ENABLE_TASK_IAM_ROLE=true",
    "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true",
    "ECS_DISABLE_PRIVILEGED=true",
    ], var.http_proxy == "" ? [] : [
    "HTTP_PROXY=${var.http_proxy}",
    "NO_PROXY=169.254.169.254,169.254.170.2,/var/run/docker.sock",
    ], [
    "CONFIG",
    ], var.http_proxy == "" ? [] : [
    "install -d /etc/systemd/system/docker.service.d",
    "printf '[Service]\\nEnvironment=\"HTTP_PROXY=%s\" \"HTTPS_PROXY=%s\" \"NO_PROXY=%s\"\\n' '${var.http_proxy}' '${var.http_proxy}' '${local.proxy["NO_PROXY"]}' >/etc/systemd/system/docker.service.d/proxy.conf",
    "systemctl daemon-reload",
    "systemctl try-restart docker",
    ], [
    # Containers on Docker's networks reach neither the instance's credentials nor a task's, at every start of the host.
    "cat >/etc/systemd/system/gantry-block-metadata.service <<'UNIT'",
    "[Unit]",
    "Description=Keeps containers from the addresses where credentials are served",
    "After=docker.service",
    "Requires=docker.service",
    "Before=ecs.service",
    "[Service]",
    "Type=oneshot",
    "RemainAfterExit=yes",
    "ExecStart=/usr/sbin/iptables -I DOCKER-USER -d 169.254.0.0/16 -j REJECT",
    "ExecStart=/usr/sbin/iptables -I DOCKER-USER -d 169.254.169.253 -p udp --dport 53 -j RETURN",
    "ExecStart=/usr/sbin/iptables -I DOCKER-USER -d 169.254.169.253 -p tcp --dport 53 -j RETURN",
    "ExecStart=/usr/sbin/iptables -t nat -I PREROUTING -i docker+ -d 169.254.170.2 -j ACCEPT",
    "ExecStart=/usr/sbin/iptables -t nat -I PREROUTING -i br-+ -d 169.254.170.2 -j ACCEPT",
    "[Install]",
    "WantedBy=multi-user.target",
    "UNIT",
    "systemctl daemon-reload",
    "systemctl enable --now --no-block gantry-block-metadata",
    "",
  ]))
}

resource "aws_iam_role" "host" {
  name_prefix = "${substr(var.name, 0, 32)}-host-"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
  tags = local.tags
}

resource "aws_iam_role_policy_attachment" "host" {
  role       = aws_iam_role.host.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "${substr(var.name, 0, 37)}-"
  role        = aws_iam_role.host.name
  tags        = local.tags
}

resource "aws_security_group" "host" {
  name_prefix = "${var.name}-"
  description = "Launchers dial out; nothing dials in"
  vpc_id      = var.vpc_id
  tags        = local.tags
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each          = toset(var.egress_cidrs)
  security_group_id = aws_security_group.host.id
  description       = "Server, registries, what runs manage"
  ip_protocol       = "-1"
  cidr_ipv4         = each.value
  tags              = local.tags
}

resource "aws_launch_template" "host" {
  name_prefix            = "${var.name}-"
  image_id               = local.image_id
  instance_type          = var.instance_type
  user_data              = base64encode(local.user_data)
  vpc_security_group_ids = [aws_security_group.host.id]
  update_default_version = true
  tags                   = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.host.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gb
      encrypted             = true
      delete_on_termination = true
    }
  }
}

resource "aws_autoscaling_group" "hosts" {
  name                      = var.name
  min_size                  = 0
  max_size                  = var.max_size
  vpc_zone_identifier       = var.subnet_ids
  protect_from_scale_in     = true
  suspended_processes       = ["AZRebalance"]
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.host.id
    version = aws_launch_template.host.latest_version
  }

  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage       = 100
      max_healthy_percentage       = 200
      scale_in_protected_instances = "Refresh"
    }
  }

  dynamic "tag" {
    for_each = merge(local.tags, { AmazonECSManaged = "" })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "hosts" {
  name = var.name
  tags = local.tags

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.hosts.arn
    managed_draining               = "ENABLED"
    managed_termination_protection = "ENABLED"

    managed_scaling {
      status          = "ENABLED"
      target_capacity = 100
    }
  }
}

# A cluster has one list of providers, and the service needs this one in it.
resource "aws_ecs_cluster_capacity_providers" "cluster" {
  cluster_name       = var.cluster_name
  capacity_providers = concat([aws_ecs_capacity_provider.hosts.name], var.other_capacity_providers)
}
