output "scale_set_name" {
  description = "For autoscalers: it is also the tag vmss_name of the launchers."
  value       = azurerm_linux_virtual_machine_scale_set.launchers.name
}

output "identity_principal_id" {
  description = "Who the machines are; runs are kept from it."
  value       = azurerm_user_assigned_identity.launcher.principal_id
}

output "user_data" {
  description = "What machines execute at their first start. It holds no secret."
  value       = module.user_data.script
}
