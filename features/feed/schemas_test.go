package feed_test

import (
	"net/http"
	"os"
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
