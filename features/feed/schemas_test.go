package feed_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"pitboss/features/feed"
	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// confluent makes a record in the Confluent wire format, by the registered event.proto.
func (r *rig) confluent(id int, ev *pb.Event) *kgo.Record {
	r.t.Helper()
	rec := r.record(0, ev)
	index := (&pb.Event{}).ProtoReflect().Descriptor().Index()
	header, err := new(sr.ConfluentHeader).AppendEncode(nil, id, []int{index})
	if err != nil {
		r.t.Fatal(err)
	}
	rec.Value = append(header, rec.Value...)
	return rec
}

// withRegistry gives the rig a registry that has event.proto, and its id there.
func (r *rig) withRegistry() (registry *srfake.Registry, id int) {
	r.t.Helper()
	text, err := os.ReadFile("../../proto/pitboss/v1/event.proto")
	if err != nil {
		r.t.Fatal(err)
	}
	registry = srfake.New()
	r.t.Cleanup(registry.Close)
	id, _, err = registry.RegisterSchema(r.topic()+"-value", sr.Schema{Schema: string(text), Type: sr.TypeProtobuf})
	if err != nil {
		r.t.Fatal(err)
	}
	r.cfg.SchemaRegistry = wire.DefaultRegistryConfig()
	r.cfg.SchemaRegistry.URLs = []string{registry.URL()}
	return registry, id
}

// TestRegistryAwayLosesNothing holds that an outage of the schema registry is waited for, visibly, and kills no record.
func TestRegistryAwayLosesNothing(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	registry, id := r.withRegistry()
	var away atomic.Bool
	away.Store(true)
	registry.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	r.kafka.send(t, r.record(0, bet(0)), r.confluent(id, bet(1)), r.confluent(id, bet(2)))
	run := r.start()
	run.state(feed.StateNoSchema)
	if text := run.Status().Error; !strings.Contains(text, "schema registry") || !strings.Contains(text, "503") {
		t.Errorf("status says %q", text)
	}
	away.Store(false)
	r.caughtUp()
	run.state(feed.StateReading)
	r.wantBets(3)
	if s := run.Stats(); s.Dead != 0 || s.Applied != 3 || s.RegistryAway != 1 {
		t.Errorf("stats %+v, want 3 applied, none dead, the registry away once", s)
	}
	run.stop()
}

// TestRegistryAwayStopsOnlyItsPartition holds that the partition whose records need the registry waits, in their order, and
// the other is read on, also where the registry does not even refuse; and that all is read when it is back.
func TestRegistryAwayStopsOnlyItsPartition(t *testing.T) {
	for name, silent := range map[string]bool{"refuses": false, "is silent": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, newFake(t))
			r.kafka.create(t, 2, r.topic())
			registry, id := r.withRegistry()
			away := make(chan struct{})
			registry.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
				select {
				case <-away:
					return false
				default:
				}
				if silent {
					select {
					case <-away:
						return false
					case <-q.Context().Done():
					}
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			r.kafka.send(t, r.record(0, bet(0)), r.confluent(id, bet(1)), r.record(0, bet(2)), r.record(1, bet(3)))
			run := r.start()
			run.state(feed.StateNoSchema)
			for i := 4; i < 10; i++ { // one after the other, so that each is a batch of its own
				r.kafka.send(t, r.record(1, bet(i)))
				until(t, "the other partition to be read", func() bool { return run.Stats().Applied == uint64(i-1) })
			}
			r.kafka.send(t, r.record(0, bet(10)), r.confluent(id, bet(11)))
			if s := run.Status(); s.State != feed.StateNoSchema || s.Waiting != 1 {
				t.Errorf("status %+v, want one partition that waits", s)
			}
			if got := r.order(0); !slices.Equal(got, []int64{0}) {
				t.Errorf("of the partition that waits, offsets %v are in the journal, want those before the record that needs a schema", got)
			}
			close(away)
			r.caughtUp()
			run.state(feed.StateReading)
			if got := r.order(0); !slices.Equal(got, []int64{0, 1, 2, 3, 4}) {
				t.Errorf("offsets %v in the journal, want all in their order", got)
			}
			if s := run.Stats(); s.Dead != 0 || s.Applied != 12 || s.RegistryAway != 1 || run.Status().Waiting != 0 {
				t.Errorf("stats %+v, %+v, want 12 applied, the registry away once", s, run.Status())
			}
			run.stop()
			r.wantBets(12)
		})
	}
}

// TestHeldPartitionMoves holds that what waits for a schema is read by whom its partition goes to, once, and that the one who
// held it can read it when it comes back.
func TestHeldPartitionMoves(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 2, r.topic())
	r.cfg.Instance = ""
	registry, id := r.withRegistry()
	var away atomic.Bool
	away.Store(true)
	registry.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return away.Load()
	})
	other := r.confluent(id, bet(1))
	other.Partition = 1
	r.kafka.send(t, r.confluent(id, bet(0)), other)
	first := r.start()
	until(t, "both to wait", func() bool { return first.Status().Waiting == 2 })
	second := r.start()
	until(t, "the members to share", func() bool { return first.Status().Waiting == 1 && second.Status().Waiting == 1 })
	second.stop()
	until(t, "both to wait again", func() bool { return first.Status().Waiting == 2 })
	away.Store(false)
	r.caughtUp()
	first.state(feed.StateReading)
	r.wantBets(2)
	if s := first.Stats(); s.Applied != 2 || s.Duplicates != 0 {
		t.Errorf("stats %+v, want each applied once", s)
	}
	first.stop()
}

// order gives the offsets of a partition's events in the journal's order.
func (r *rig) order(partition int32) (offsets []int64) {
	for _, f := range r.frames() {
		if k := f.GetKafka(); k.GetPartition() == partition {
			offsets = append(offsets, k.GetOffset())
		}
	}
	return offsets
}

// TestStopWhileTheRegistryIsAway holds that waiting ends with the feed, and that the records are read at the next start.
func TestStopWhileTheRegistryIsAway(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	registry, id := r.withRegistry()
	registry.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return true
	})
	r.kafka.send(t, r.confluent(id, bet(0)))
	run := r.start()
	run.state(feed.StateNoSchema)
	run.stop()
	registry.ClearInterceptors()
	run = r.start()
	r.caughtUp()
	run.stop()
	r.wantBets(1)
}

// TestQuarantine holds that an event of a newer major schema, and one of a schema that nobody has, become dead letters by
// reasons of their own, and that a newer minor passes.
func TestQuarantine(t *testing.T) {
	r := newRig(t, newFake(t))
	r.kafka.create(t, 1, r.topic())
	_, id := r.withRegistry()
	major, minor := bet(1), bet(2)
	major.SchemaVersion, minor.SchemaVersion = 200, 107
	r.kafka.send(t, r.confluent(id, bet(0)), r.confluent(id, major), r.json(0, minor), r.confluent(id+100, bet(3)))
	run := r.start()
	r.caughtUp()
	run.stop()
	got := map[string]string{}
	for at, l := range r.letters() {
		got[strings.TrimPrefix(at, r.topic())] = l.Reason
	}
	if diff := cmp.Diff(map[string]string{"/0/1": "NEWER_SCHEMA", "/0/3": "UNKNOWN_SCHEMA"}, got); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if s := run.Stats(); s.Applied != 2 || s.Dead != 2 || s.Quarantined != 1 {
		t.Errorf("stats %+v, want 2 applied, 2 dead, 1 of them quarantined", s)
	}
}
