package features

import (
	"context"
	"testing"
)

// emptyStates has no entity.
type emptyStates struct{ States }

func (emptyStates) Get(EntityKey, []byte) ([]byte, bool, error) { return nil, false, nil }

// TestEvictionEmptiesAShard has other shards hold more than all may: everything in this one goes, and then nothing is left
// to look at.
func TestEvictionEmptiesAShard(t *testing.T) {
	c := newCache(&Engine{states: emptyStates{}, cfg: EngineConfig{MaxEntities: 1000, MaxBytes: 1 << 20}})
	c.bytes.Add(2 << 20)
	kind := &kindPlan{kind: Kind{Name: "player"}}
	key := func(i byte) (key EntityKey) {
		key.ID[1] = i // all in the same shard
		return key
	}
	var held []*entity
	for i := range byte(4) {
		e, err := c.get(context.Background(), key(i), kind)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, e)
	}
	for _, e := range held {
		e.used = false // the hand was here, and nobody has come since
		e.unpin()
	}
	e, err := c.get(context.Background(), key(9), kind)
	if err != nil {
		t.Fatal(err)
	}
	e.unpin()
	if n := c.entities.Load(); n != 1 {
		t.Errorf("%d entities are in memory, want the one that was asked for", n)
	}
}
