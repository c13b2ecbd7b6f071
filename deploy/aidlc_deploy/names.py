"""What things are called on AWS; `contract.py` holds the templates to the same names."""

from __future__ import annotations


class Names:
    """The names in one environment."""

    environment: str

    @property
    def cluster(self) -> str:
        return f"{self.environment}-aidlc-cluster"

    @property
    def service(self) -> str:
        return f"{self.environment}-aidlc-auth-service"

    @property
    def log_group(self) -> str:
        return f"/ecs/{self.environment}-aidlc-auth"

    @property
    def repository(self) -> str:
        return f"{self.environment}-aidlc-auth"

    @property
    def database(self) -> str:
        return f"{self.environment}-aidlc-auth"

    @property
    def balancer(self) -> str:
        return f"{self.environment}-aidlc-auth"
