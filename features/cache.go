package features

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"pitboss/features/tiles"
	"pitboss/journal"
)

const (
	cacheShards = 64
	// slabSize is how many entities are allocated together: the collector sees one object instead of many.
	slabSize = 256
	// evictScan is how many entities one insertion looks at for a place; what it does not find the next ones do.
	evictScan = 32
)

// entity is one entity in memory. It lies in a slab and is used again for another one after its eviction; a pin keeps
// it where it is.
type entity struct {
	mu sync.Mutex // guards entityState, saved and bytes
	entityState
	// saved is the position that States has; the entity is dirty while pos is another.
	saved journal.Pos
	// bytes is what the groups were last known to hold.
	bytes int

	// key and kind are set while the entity is put into its shard and do not change while it is pinned.
	key  EntityKey
	kind *kindPlan
	// pins counts who uses the entity. It rises under the shard's lock only, so that what is 0 under it stays 0.
	pins atomic.Int32
	// listed says that the entity waits for a checkpoint. It becomes true only while pinned.
	listed atomic.Bool
	// unsure says that a write of the entity failed, so that States may have saved or tried. Both belong to checkpoints.
	unsure bool
	tried  journal.Pos
	// used is the clock's bit, number the entity's place in the slabs, and turn its place in the clock. They belong to the
	// shard's lock.
	used   bool
	number uint32
	turn   int
}

// cache holds the entities in memory. The maps hold numbers, not pointers, so that the collector need not walk them.
type cache struct {
	engine    *Engine
	states    States
	perShard  int
	bytesMost int64
	shards    [cacheShards]cacheShard

	entities atomic.Int64
	// dirty counts the entities that wait for a checkpoint.
	dirty   atomic.Int64
	bytes   atomic.Int64
	evicted atomic.Uint64
	loaded  atomic.Uint64
}

type cacheShard struct {
	mu sync.Mutex // guards all below, and used, number and turn of the entities
	at map[EntityKey]uint32
	// slabs hold all entities, by number; free are the numbers of those that hold nothing.
	slabs [][]entity
	free  []uint32
	// clock has the numbers of the others, hand the next one to be looked at.
	clock   []uint32
	hand    int
	loading map[EntityKey]*loading
}

// loading is an entity that somebody reads from States; the others wait for it.
type loading struct {
	done chan struct{}
	err  error
}

// entityBytes is what an entity costs beside its windows: its struct, its place in the map and the slice of groups.
const entityBytes = 320

func newCache(e *Engine) *cache {
	c := &cache{engine: e, states: e.states, perShard: max(1, e.cfg.MaxEntities/cacheShards), bytesMost: e.cfg.MaxBytes}
	for i := range c.shards {
		c.shards[i].at = map[EntityKey]uint32{}
		c.shards[i].loading = map[EntityKey]*loading{}
	}
	return c
}

func (c *cache) shard(key EntityKey) *cacheShard { return &c.shards[key.ID[0]%cacheShards] }

// get pins an entity, reading it from States where it is not in memory. It is unpinned by unpin.
func (c *cache) get(ctx context.Context, key EntityKey, kind *kindPlan) (*entity, error) {
	s := c.shard(key)
	for {
		s.mu.Lock()
		if i, ok := s.at[key]; ok {
			e := s.entity(i)
			e.pins.Add(1)
			e.used = true
			s.mu.Unlock()
			return e, nil
		}
		if l, ok := s.loading[key]; ok {
			s.mu.Unlock()
			select {
			case <-l.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if l.err != nil {
				return nil, l.err
			}
			continue
		}
		l := &loading{done: make(chan struct{})}
		s.loading[key] = l
		s.mu.Unlock()
		return c.load(s, key, kind, l)
	}
}

// load reads an entity outside any lock and puts it into its shard, pinned.
func (c *cache) load(s *cacheShard, key EntityKey, kind *kindPlan, l *loading) (*entity, error) {
	state, saved, err := c.read(key, kind)
	bytes := entityBytes + state.memBytes()
	s.mu.Lock()
	delete(s.loading, key)
	var e *entity
	if err == nil {
		c.evict(s, evictScan)
		e = s.place()
		e.entityState, e.saved, e.bytes = state, saved, bytes
		e.key, e.kind, e.used = key, kind, true
		e.pins.Store(1)
		e.listed.Store(false)
		s.at[key] = e.number
		c.entities.Add(1)
		c.bytes.Add(int64(bytes))
		c.loaded.Add(1)
	}
	s.mu.Unlock()
	l.err = err
	close(l.done)
	return e, err
}

// read gives an entity as States have it, with the position that they have.
func (c *cache) read(key EntityKey, kind *kindPlan) (state entityState, saved journal.Pos, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot read %s %x: %w", kind.kind.Name, key.ID, err)
		}
	}()
	// The side comes first: it is let go only when all of it is in States.
	side := c.engine.side.Load()
	state = kind.newState()
	blob, ok, err := c.states.Get(key, nil)
	if err == nil && ok {
		err = kind.decodeState(blob, &state)
	}
	saved = state.pos
	if err == nil && side != nil {
		_, err = side.join(key, kind, blob, &state)
	}
	return state, saved, err
}

// alone calls f while nobody has the entity in memory, nor can get it there: who wants to waits. Where it is in use, or
// waits for a checkpoint, f is not called.
func (c *cache) alone(key EntityKey, f func() error) (called bool, err error) {
	s := c.shard(key)
	s.mu.Lock()
	if i, ok := s.at[key]; ok {
		e := s.entity(i)
		if e.pins.Load() != 0 || e.listed.Load() {
			s.mu.Unlock()
			return false, nil
		}
		c.remove(s, e)
	}
	if _, ok := s.loading[key]; ok {
		s.mu.Unlock()
		return false, nil
	}
	l := &loading{done: make(chan struct{})}
	s.loading[key] = l
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.loading, key)
		s.mu.Unlock()
		close(l.done) // who waits looks again
	}()
	return true, f()
}

func (e *entity) unpin() { e.pins.Add(-1) }

func (s *entityState) memBytes() int {
	n := 0
	for i := range s.groups {
		n += s.groups[i].MemBytes()
	}
	return n + 40*len(s.pushes)
}

func (s *cacheShard) entity(i uint32) *entity { return &s.slabs[i/slabSize][i%slabSize] }

// place gives an entity that holds nothing.
func (s *cacheShard) place() *entity {
	if len(s.free) == 0 {
		first := uint32(len(s.slabs) * slabSize)
		s.slabs = append(s.slabs, make([]entity, slabSize))
		for i := uint32(slabSize); i > 0; i-- {
			s.free = append(s.free, first+i-1)
		}
	}
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	e := s.entity(i)
	e.number, e.turn = i, len(s.clock)
	s.clock = append(s.clock, i)
	return e
}

// evict makes room where the shard is full: clean entities that nobody uses and nobody used since the clock's hand was
// there last. Dirty ones stay until a checkpoint has them, so a shard may be over its bound for a while; throttle keeps
// that bounded too.
func (c *cache) evict(s *cacheShard, scan int) {
	for range min(scan, 2*len(s.clock)) { // twice round: the first time may only take the clock's bits away
		if len(s.clock) == 0 || len(s.at) < c.perShard && c.bytes.Load() < c.bytesMost {
			return
		}
		if s.hand >= len(s.clock) {
			s.hand = 0
		}
		e := s.entity(s.clock[s.hand])
		switch {
		case e.pins.Load() != 0 || e.listed.Load():
			s.hand++
		case e.used:
			e.used = false
			s.hand++
		default:
			c.remove(s, e) // another one takes its turn
		}
	}
}

// trim makes room everywhere, as after a checkpoint, when much has become clean.
func (c *cache) trim() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		c.evict(s, math.MaxInt)
		s.mu.Unlock()
	}
}

// remove takes an entity out of its shard, whose lock the caller holds. Nobody has it pinned.
func (c *cache) remove(s *cacheShard, e *entity) {
	delete(s.at, e.key)
	s.free = append(s.free, e.number)
	last := s.clock[len(s.clock)-1]
	s.clock[e.turn] = last
	s.entity(last).turn = e.turn
	s.clock = s.clock[:len(s.clock)-1]
	c.entities.Add(-1)
	c.bytes.Add(-int64(e.bytes))
	c.evicted.Add(1)
	e.kind, e.entityState, e.saved, e.bytes, e.unsure = nil, entityState{}, journal.Pos{}, 0, false
}

// add applies a contribution, of an event that may be void; the caller holds the entity's lock.
func (c *cache) add(e *entity, slot int, contribution *tiles.Contribution, void Void) {
	group := e.kind.groups[slot]
	c.change(e, slot, func(s *tiles.State) {
		if group.voids(void) {
			s.AddVoid(group.layout, contribution, horizon(e.newest))
			return
		}
		s.Add(group.layout, contribution, horizon(e.newest))
	})
}

// change changes one group of an entity, whose lock the caller holds.
func (c *cache) change(e *entity, slot int, f func(*tiles.State)) {
	g := &e.groups[slot]
	before := g.MemBytes()
	f(g)
	if n := g.MemBytes() - before; n != 0 {
		e.bytes += n
		c.bytes.Add(int64(n))
	}
}
