// Who gets which shard (A3.3): balanced within one, and as few as possible move. Pure; the group's leader computes it.

export interface Candidate {
  readonly id: string;
  /** The shards that it has now, as it says. */
  readonly held: readonly number[];
}

/** The shards of each member, ascending. Of two that say they hold the same one, the first by id is believed. */
export function assignShards(members: readonly Candidate[], shards: number): Map<string, number[]> {
  const inOrder = members.toSorted((a, b) => a.id < b.id ? -1 : 1);
  const free = new Set(Array.from({ length: shards }, (_, shard) => shard));
  const kept = new Map<string, number[]>();
  for (const { id, held } of inOrder) kept.set(id, held.filter((shard) => free.delete(shard)));
  // Where shards are left over after an even share, those who have most have one more: nothing moves for it.
  const byCount = [...kept].toSorted(([, a], [, b]) => b.length - a.length);
  const share = Math.floor(shards / members.length);
  const more = shards % members.length;
  const room: { readonly of: number[]; readonly most: number }[] = [];
  for (const [rank, [, of]] of byCount.entries()) {
    const most = share + (rank < more ? 1 : 0);
    of.sort((a, b) => a - b);
    for (const shard of of.splice(most)) free.add(shard);
    room.push({ of, most });
  }
  const left = [...free].toSorted((a, b) => a - b);
  for (const { of, most } of room) of.push(...left.splice(0, most - of.length));
  for (const of of kept.values()) of.sort((a, b) => a - b);
  return kept;
}
