// The agent may use the models of one account of Azure AI, and change nothing there.
param account string
param principalId string
param roleId string

resource models 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: account
}

resource useModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(models.id, principalId, roleId)
  scope: models
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
  }
}
