"""The machinery. `copier update` may change what is here; what the agent is stands in `agent/`."""
