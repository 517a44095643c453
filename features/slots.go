package features

import (
	"context"
	"sync"
)

const slotShards = 64

// slots are the keys that somebody works on: at most one holder each.
type slots struct {
	shards [slotShards]slotShard
}

type slotShard struct {
	mu sync.Mutex // guards held and the channels' being there
	// held has the keys that are taken; the channel is made by the first who waits, and closed at release.
	held map[EventKey]chan struct{}
}

func newSlots() *slots {
	s := &slots{}
	for i := range s.shards {
		s.shards[i].held = map[EventKey]chan struct{}{}
	}
	return s
}

// acquire takes a key, waiting for whoever has it.
func (s *slots) acquire(ctx context.Context, key EventKey) error {
	shard := &s.shards[key[15]%slotShards]
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		shard.mu.Lock()
		freed, taken := shard.held[key]
		if !taken {
			shard.held[key] = nil
			shard.mu.Unlock()
			return nil
		}
		if freed == nil {
			freed = make(chan struct{})
			shard.held[key] = freed
		}
		shard.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
}

func (s *slots) release(key EventKey) {
	shard := &s.shards[key[15]%slotShards]
	shard.mu.Lock()
	freed := shard.held[key]
	delete(shard.held, key)
	shard.mu.Unlock()
	if freed != nil {
		close(freed)
	}
}

// len is how many keys are held.
func (s *slots) len() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].held)
		s.shards[i].mu.Unlock()
	}
	return n
}
