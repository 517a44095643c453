package features

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"pitboss/features/tiles"
	"pitboss/journal"
)

// plan is what an Engine keeps for its feature sets: the union of their groups, by entity kind. It is immutable.
type plan struct {
	// kinds has the kinds that have state: those of groups, the subject's and the tenant's (for its key).
	kinds map[KindID]*kindPlan
	// subject is the kind whose key seals frames, tenant the one that stands in for it.
	subject, tenant *kindPlan
	// bindings say how each set reads, by its hash.
	bindings map[[32]byte]*binding
	// sets are what the plan was made of.
	sets  []*Set
	table planTable
	// changed says that settle changed the table.
	changed bool
}

// kindPlan is what is kept of one kind's entities.
type kindPlan struct {
	kind   Kind
	groups []*planGroup
	byID   map[uint32]int
	// byType are the groups that an event of a type can be in; other types are in untyped at most.
	byType  map[string][]int
	untyped []int
	// pushes are the values that can be pushed, by key.
	pushes map[string]pushPlan
}

// pushPlan is what the sets say of a pushed value: its type and, in microseconds, the longest time that one lets it live.
type pushPlan struct {
	typ FieldType
	ttl int64
}

// planGroup is a group with its place in storage.
type planGroup struct {
	*group
	// id stands for the group in blobs.
	id uint32
	// joins says that the group lies in a side for entities whose blob does not have it yet.
	joins bool
	// since is the newest event time when the group was added to state that had seen events already: it has seen
	// everything that happened after, and not all before. 0 says that it has seen everything.
	since int64
	// from is the last frame of which the group may lack the event, zero where it has seen everything.
	from journal.Pos
	// counts count what came to the group.
	counts groupCounters
}

// candidates are the groups of the kind that an event of this type can be in.
func (k *kindPlan) candidates(eventType string) []int {
	if list, ok := k.byType[eventType]; ok {
		return list
	}
	return k.untyped
}

// binding is how one set reads an engine's state.
type binding struct {
	set   *Set
	kinds []kindBinding
	// windowed has the features that come from groups, for those whose entity an event does not name.
	windowed []int
	// values counts what came of the set's vectors.
	values *valueCounters
}

type kindBinding struct {
	kind   *kindPlan
	groups []groupBinding
	// features are all that read this kind.
	features []int
	// pushes are those of its features that are pushed.
	pushes []int
}

type groupBinding struct {
	slot  int // in kindPlan.groups
	group *planGroup
	reads groupReads
}

// planTable is the plan's part of the state: which group has which id, and which kind which number.
type planTable struct {
	next   uint32
	groups []planTableGroup
	kinds  []Kind
}

type planTableGroup struct {
	id    uint32
	hash  [32]byte
	since int64
	from  journal.Pos
	// fill is the id that the group has in the backfill which is building it, 0 without one.
	fill uint32
	// joins says that the group was backfilled and lies in a side until it is joined to every entity.
	joins bool
}

// The forms of a plan's table. 2 has each group's from, which 1 had not; 3 has fill and joins too, and is written where there
// are any.
const planFormat, planFormatFills = 2, 3

// unknownPos stands for a group's from until it is known.
func unknownPos() journal.Pos { return journal.Pos{Offset: math.MaxUint64} }

// fill marks the groups to be backfilled: those that have not seen everything. Where these are not the very ones that a
// backfill is building already, it begins anew under new ids.
func (t *planTable) fill() {
	same := true
	for i := range t.groups {
		g := &t.groups[i]
		same = same && (g.fill != 0) == (g.since == pendingSince || g.fill != 0)
	}
	if same {
		return
	}
	for i := range t.groups {
		if g := &t.groups[i]; g.fill != 0 || g.since == pendingSince {
			t.next++
			g.fill = t.next
		}
	}
}

// filling gives the highest id of the groups that are being backfilled, by which their side is named; 0 for none.
func (t *planTable) filling() (id uint32) {
	for _, g := range t.groups {
		id = max(id, g.fill)
	}
	return id
}

// joining gives the highest id of the groups that lie in a side, by which it is named; 0 for none.
func (t *planTable) joining() (id uint32) {
	for _, g := range t.groups {
		if g.joins {
			id = max(id, g.id)
		}
	}
	return id
}

func (t *planTable) encode() []byte {
	format := byte(planFormat)
	if t.filling() != 0 || t.joining() != 0 {
		format = planFormatFills
	}
	b := []byte{format}
	b = binary.AppendUvarint(b, uint64(t.next))
	b = binary.AppendUvarint(b, uint64(len(t.groups)))
	for _, g := range t.groups {
		b = binary.AppendUvarint(b, uint64(g.id))
		b = append(b, g.hash[:]...)
		b = binary.AppendVarint(b, g.since)
		b = binary.AppendUvarint(b, uint64(g.from.Partition))
		b = binary.AppendUvarint(b, g.from.Offset)
		if format == planFormatFills {
			b = binary.AppendUvarint(b, uint64(g.fill))
			b = append(b, byte(boolInt(g.joins)))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(t.kinds)))
	for _, k := range t.kinds {
		b = append(b, byte(k.ID))
		b = binary.AppendUvarint(b, uint64(len(k.Name)))
		b = append(b, k.Name...)
	}
	return b
}

func decodePlanTable(data []byte) (planTable, error) {
	t := planTable{}
	r := blobReader{rest: data}
	format := r.formatOr(planFormat, 1, planFormatFills)
	t.next = uint32(r.uvarint())
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		g := planTableGroup{id: uint32(r.uvarint())}
		copy(g.hash[:], r.take(32))
		g.since = r.varint()
		switch {
		case format != 1:
			g.from = r.pos()
		case g.since != 0:
			g.from = unknownPos()
		}
		if format == planFormatFills {
			g.fill, g.joins = uint32(r.uvarint()), r.take(1)[0] == 1
		}
		t.groups = append(t.groups, g)
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		id := r.take(1)
		name := r.bytes()
		if r.err == nil {
			t.kinds = append(t.kinds, Kind{ID: KindID(id[0]), Name: string(name)})
		}
	}
	return t, r.end()
}

// take reads n bytes.
func (r *blobReader) take(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.fail("cut off")
	}
	if r.err != nil {
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// newPlan makes the plan of sets over what the state has already. Groups that no set has any more lose their id: should
// they come back, what they kept would lack the events between. New ones start at since.
func newPlan(kinds *Kinds, subject string, sets []*Set, old planTable, since int64) (*plan, error) {
	p := &plan{kinds: map[KindID]*kindPlan{}, bindings: map[[32]byte]*binding{}, sets: sets}
	if err := p.keepKinds(kinds, old); err != nil {
		return nil, err
	}
	subjectKind, ok := kinds.Get(subject)
	if !ok {
		return nil, fmt.Errorf("subject_kind %q is not an entity kind", subject)
	}
	tenantKind, _ := kinds.Get("tenant")
	p.subject, p.tenant = p.kindOf(subjectKind), p.kindOf(tenantKind)
	ids := map[[32]byte]planTableGroup{}
	for _, g := range old.groups {
		ids[g.hash] = g
	}
	p.table.next = old.next
	for _, set := range sets {
		for _, g := range set.groups {
			p.keep(g, ids, since)
		}
		if err := p.keepPushes(set); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(p.table.groups, func(a, b planTableGroup) int { return int(a.id) - int(b.id) })
	for _, k := range p.kinds {
		k.index()
		if n := k.worstBytes(); n > maxStateBytes {
			return nil, fmt.Errorf("the feature sets keep up to %d KB for the busiest %s, at most %d KB fit: %s", n/1000, k.kind.Name, maxStateBytes/1000, fewerBytes)
		}
	}
	for _, set := range sets {
		p.bind(set)
	}
	return p, nil
}

// keepKinds refuses kinds whose numbers changed: they are in every key.
func (p *plan) keepKinds(kinds *Kinds, old planTable) error {
	names := map[KindID]string{}
	for _, k := range kinds.All() {
		names[k.ID] = k.Name
		p.table.kinds = append(p.table.kinds, Kind{ID: k.ID, Name: k.Name})
	}
	for _, k := range old.kinds {
		if name, ok := names[k.ID]; ok && name != k.Name {
			return fmt.Errorf("entity kind number %d is %q, and was %q when the state was written: keep configured kinds in their order and add new ones at the end", k.ID, name, k.Name)
		} else if !ok {
			return fmt.Errorf("entity kind %q (number %d) is in the state and no longer configured: keep it, state of it is still there", k.Name, k.ID)
		}
	}
	return nil
}

func (p *plan) kindOf(kind Kind) *kindPlan {
	k, ok := p.kinds[kind.ID]
	if !ok {
		k = &kindPlan{kind: kind, byID: map[uint32]int{}, byType: map[string][]int{}, pushes: map[string]pushPlan{}}
		p.kinds[kind.ID] = k
	}
	return k
}

func (p *plan) keep(g *group, ids map[[32]byte]planTableGroup, since int64) {
	k := p.kindOf(g.kind)
	if slices.ContainsFunc(k.groups, func(have *planGroup) bool { return have.hash == g.hash }) {
		return
	}
	entry, ok := ids[g.hash]
	if !ok {
		p.table.next++
		entry = planTableGroup{id: p.table.next, hash: g.hash, since: since}
		if since != 0 {
			entry.from = unknownPos()
		}
	}
	p.table.groups = append(p.table.groups, entry)
	k.groups = append(k.groups, &planGroup{group: g, id: entry.id, since: entry.since, from: entry.from, joins: entry.joins})
}

// keepPushes notes which values can be pushed.
func (p *plan) keepPushes(set *Set) error {
	for _, i := range set.pushed {
		f := &set.plans[i]
		k := p.kindOf(f.kind)
		have := k.pushes[f.key]
		if have.typ != 0 && have.typ != f.typ {
			return fmt.Errorf("feature %s: two feature sets name the pushed value %s of a %s by different types: give one of them another key", f.name, f.key, f.kind.Name)
		}
		k.pushes[f.key] = pushPlan{f.typ, max(have.ttl, f.ttl)}
	}
	return nil
}

// maxStateBytes bounds an entity's blob, below what every implementation of States takes.
const maxStateBytes = 900_000

// pushBytes is what a pushed value takes at most, with its key.
const pushBytes = 64 + 20

// worstBytes is what an entity's blob can come to.
func (k *kindPlan) worstBytes() int {
	total := pushBytes * len(k.pushes)
	for _, g := range k.groups {
		total += g.worstBytes()
	}
	return total
}

// worstBytes is what a group comes to when every tile is there with the largest numbers.
func (g *group) worstBytes() int {
	spec := g.layout.Spec()
	row := 10 + 10*(spec.Sums+spec.Lows.Len()+spec.Highs.Len()) + 20*spec.Squares.Len()
	rows := spec.Raw + g.layout.MaxTiles()
	exactTables := 0
	if spec.Exact {
		exactTables = len(spec.Counts)
	}
	return 64 + rows*row + 10*spec.Raw*(g.categories()+spec.RawValues.Len()) + slotBytes*spec.Raw*exactTables + 24*spec.Distincts*tiles.DistinctCap + binBytes*g.layout.MaxCounts() + peakBytes*g.layout.MaxPeaks()
}

// slotBytes is what a table's slot of an event takes at most in exact mode.
const slotBytes = 2

// peakBytes is what a rank of a register takes: three bytes of time in the mean, one of rank, and a share of its register.
const peakBytes = 5

// binBytes is what a table's count takes at most: three bytes of time (a run's distances add up to a window), six of count.
const binBytes = 9

// index sorts the groups by id, so that the order does not depend on that of the sets, and finds them by type.
func (k *kindPlan) index() {
	slices.SortFunc(k.groups, func(a, b *planGroup) int { return int(a.id) - int(b.id) })
	for i, g := range k.groups {
		k.byID[g.id] = i
		for _, t := range g.types() {
			k.byType[t] = nil
		}
	}
	for i, g := range k.groups {
		types := g.types()
		if types == nil {
			k.untyped = append(k.untyped, i)
		}
		for t := range k.byType {
			if types == nil || slices.Contains(types, t) {
				k.byType[t] = append(k.byType[t], i)
			}
		}
	}
}

func (p *plan) bind(set *Set) {
	b := &binding{set: set, values: newValueCounters(set)}
	for i, g := range set.groups {
		k := p.kinds[g.kind.ID]
		kb := b.of(k)
		slot := slices.IndexFunc(k.groups, func(have *planGroup) bool { return have.hash == g.hash })
		kb.groups = append(kb.groups, groupBinding{slot: slot, group: k.groups[slot], reads: set.reads[i]})
		for _, fr := range slices.Concat(set.reads[i].include, set.reads[i].exclude) {
			kb.features = append(kb.features, int(fr.feature))
		}
	}
	for _, i := range set.pushed {
		kb := b.of(p.kinds[set.plans[i].kind.ID])
		kb.features, kb.pushes = append(kb.features, i), append(kb.pushes, i)
	}
	for _, kb := range b.kinds {
		b.windowed = append(b.windowed, kb.features...)
	}
	p.bindings[set.Hash] = b
}

// of gives the binding of a kind.
func (b *binding) of(k *kindPlan) *kindBinding {
	at := slices.IndexFunc(b.kinds, func(kb kindBinding) bool { return kb.kind == k })
	if at < 0 {
		at = len(b.kinds)
		b.kinds = append(b.kinds, kindBinding{kind: k})
	}
	return &b.kinds[at]
}

// newState gives an empty entity of the kind.
func (k *kindPlan) newState() entityState {
	return entityState{groups: make([]tiles.State, len(k.groups))}
}

// settle notes for groups that are new what they may lack: the events of frames that States may have already.
func (p *plan) settle(high journal.Pos) {
	for i := range p.table.groups {
		if g := &p.table.groups[i]; g.from == unknownPos() {
			g.from, p.changed = high, true
		}
	}
	for _, k := range p.kinds {
		for _, g := range k.groups {
			if g.from == unknownPos() {
				g.from = high
			}
		}
	}
}
