"""The registry: devices, policy, certificates and events, behind `enroll.ports.UnitOfWork`."""
