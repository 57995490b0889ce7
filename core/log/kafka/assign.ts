// Which member gets which shard (A3.3): the counts differ by one at most, and as few shards as possible move. It is pure; the group's
// leader computes it.

export interface Candidate {
  readonly id: string;
  /** The shards that it says it has now. */
  readonly held: readonly number[];
}

/** The shards of each member, ascending. If two members say that they hold the same shard, the first by id keeps it. */
export function assignShards(members: readonly Candidate[], shards: number): Map<string, number[]> {
  const inOrder = members.toSorted((a, b) => a.id < b.id ? -1 : 1);
  const free = new Set(Array.from({ length: shards }, (_, shard) => shard));
  const kept = new Map<string, number[]>();
  for (const { id, held } of inOrder) kept.set(id, held.filter((shard) => free.delete(shard)));
  // If the shards do not divide evenly, the members that have most get one more, so that nothing moves for it.
  const byCount = [...kept].toSorted(([, a], [, b]) => b.length - a.length);
  const share = Math.floor(shards / members.length);
  const more = shards % members.length;
  const room: { readonly own: number[]; readonly most: number }[] = [];
  for (const [rank, [, own]] of byCount.entries()) {
    const most = share + (rank < more ? 1 : 0);
    own.sort((a, b) => a - b);
    for (const shard of own.splice(most)) free.add(shard);
    room.push({ own, most });
  }
  const left = [...free].toSorted((a, b) => a - b);
  for (const { own, most } of room) own.push(...left.splice(0, most - own.length));
  for (const own of kept.values()) own.sort((a, b) => a - b);
  return kept;
}
