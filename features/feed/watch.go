package feed

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"pitboss/features"
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
		} else {
			s.lags.blind()
		}
		s.noteLag()
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
	// Known says that the end was looked at and the brokers are not away: Records is 0 without.
	Known bool
}

// Lags are the lags of the partitions that are read, by topic and partition.
func (f *Feed) Lags() []Lag { return f.lags.list() }

// lags are the ends of partitions and how far they are applied.
type lags struct {
	mu         sync.Mutex // guards partitions
	partitions map[partition]lag
}

// lag is one partition's; seen says that end is of the last look.
type lag struct {
	next, end int64
	seen      bool
}

func (v lag) records() int64 { return max(0, v.end-v.next) }

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

func (l *lags) end(p partition, offset int64) {
	l.change(p, func(v *lag) { v.end, v.seen = offset, true })
}

// blind says that nobody knows where the partitions end.
func (l *lags) blind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, v := range l.partitions {
		l.partitions[p] = lag{next: v.next}
	}
}

// total is the lag of all partitions, features.NoLag where it is not known of each.
func (l *lags) total() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := int64(0)
	for _, v := range l.partitions {
		if !v.seen {
			return features.NoLag
		}
		all += v.records()
	}
	if len(l.partitions) == 0 {
		return features.NoLag
	}
	return all
}

// noteLag tells the engine, whose vectors carry it.
func (f *Feed) noteLag() { f.engine.NoteLag(f.lags.total()) }

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
		list = append(list, Lag{Topic: p.topic, Partition: p.id, Records: v.records(), Known: v.seen})
	}
	slices.SortFunc(list, func(a, b Lag) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}
