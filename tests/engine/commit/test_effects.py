"""The real world, where it can be tried without waiting for it."""

from uuid import RFC_4122, UUID

from threadlog.engine import SystemEffects


def test_ids_sort_by_time() -> None:
    """Source: RFC 9562: 48 bits of milliseconds since 1970, version 7, the rest random."""
    effects = SystemEffects()
    begun = effects.now() // 1000

    ids = [UUID(effects.new_id()) for _ in range(100)]

    assert {(id.version, id.variant) for id in ids} == {(7, RFC_4122)}
    assert all(begun <= id.int >> 80 <= effects.now() // 1000 for id in ids)
    assert len(set(ids)) == 100
