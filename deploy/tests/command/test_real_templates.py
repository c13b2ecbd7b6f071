"""The project's own templates and parameters, as far as the command is concerned."""

from __future__ import annotations

import shutil

import pytest

from world import HERE


@pytest.mark.parametrize("env", ["staging", "production"])
def test_they_go_up_and_down(world, env: str) -> None:
    for folder in ("cloudformation", "params"):
        shutil.rmtree(world.root / folder)
        shutil.copytree(HERE.parents[1] / folder, world.root / folder)
    world.account.mail_is_simulated = env == "staging"
    done = world.up(env=env)
    assert done.status == 0, done.err
    assert len(world.statuses()) == 8
    # The stand-in refuses a parameter too many or too few and an import of what nobody exports.
    again = world.up("t2", env=env)
    assert again.status == 0, again.err
    assert world.run("rollback", "--yes", env=env).status == 0
    assert world.state()["service"].endswith(":1")


def test_the_names_are_the_ones_that_the_service_template_gives(world) -> None:
    service = (HERE.parents[1] / "cloudformation" / "7-service.yaml").read_text("utf-8")
    for name in ("${Environment}-aidlc-cluster", "${Environment}-aidlc-auth-service", "/ecs/${Environment}-aidlc-auth"):
        assert name in service
    registry = (HERE.parents[1] / "cloudformation" / "6-registry.yaml").read_text("utf-8")
    assert "${Environment}-aidlc-auth" in registry
