package feed

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// watch looks at the brokers now and then. The client itself tries for ever and says nothing while they are away; here
// their absence shows, and the lag, and topics that appear or are made anew.
func (s *session) watch(ctx context.Context) {
	t := time.NewTicker(s.cfg.AdvanceEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		v, err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.looked(err)
		if err == nil {
			s.compare(v)
		}
	}
}

// compare takes over what a look showed.
func (s *session) compare(v *view) {
	s.missing(v.missing)
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, id := range v.ids {
		switch read, ok := s.topics[topic]; {
		case !ok:
			s.found.appeared = true
		case read != id:
			s.found.anew = topic
		}
		if n := len(v.ends[topic]); n != s.partitions[topic] {
			s.partitions[topic] = n
			s.client.ForceMetadataRefresh() // the client itself would see new partitions after minutes
		}
	}
	for p := range s.owned {
		if end, ok := v.ends.Lookup(p.topic, p.id); ok {
			s.lags.end(p, end.Offset)
		}
	}
}

// Lag is how far reading is behind in one partition.
type Lag struct {
	Topic     string
	Partition int32
	// Records is the number of offsets between the next one to be applied and the end of the partition, as it was at the
	// last look. Marks of producers' transactions count among them.
	Records int64
}

// Lags are the lags of the partitions that are read, by topic and partition.
func (f *Feed) Lags() []Lag { return f.lags.list() }

// lags are the ends of partitions and how far they are applied.
type lags struct {
	mu         sync.Mutex // guards partitions
	partitions map[partition]lag
}

type lag struct{ next, end int64 }

func (l *lags) change(p partition, f func(*lag)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.partitions == nil {
		l.partitions = map[partition]lag{}
	}
	v := l.partitions[p]
	f(&v)
	l.partitions[p] = v
}

func (l *lags) next(p partition, offset int64) { l.change(p, func(v *lag) { v.next = offset }) }

func (l *lags) end(p partition, offset int64) { l.change(p, func(v *lag) { v.end = offset }) }

func (l *lags) drop(p partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.partitions, p)
}

func (l *lags) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.partitions)
}

func (l *lags) list() []Lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Lag, 0, len(l.partitions))
	for p, v := range l.partitions {
		list = append(list, Lag{Topic: p.topic, Partition: p.id, Records: max(0, v.end-v.next)})
	}
	slices.SortFunc(list, func(a, b Lag) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}
