output "service_name" {
  description = "Its desired count is the number of launchers."
  value       = aws_ecs_service.launchers.name
}

output "capacity_provider" {
  description = "What fills and empties the group of hosts."
  value       = aws_ecs_capacity_provider.hosts.name
}

output "task_role_name" {
  description = "Who the launcher is; runs are kept from it."
  value       = aws_iam_role.task.name
}

output "security_group_id" {
  description = "For rules of what the launchers may reach."
  value       = aws_security_group.host.id
}
