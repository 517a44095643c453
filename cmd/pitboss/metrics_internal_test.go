package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const fewFeatures = `format: 1
name: few
version: '1'
groups:
  bets: {entity: player, match: {type: bet.placed}}
  rejected: {entity: player, match: {type: bet.rejected}}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: odds, group: bets, aggregate: mean, value: attr_odds, scale: 1, window: 1h}
  - {name: rejected_1h, group: rejected, aggregate: count, window: 1h}
  - {name: games_1h, group: bets, aggregate: distinct, value: game, window: 1h}
`

// TestMetricsOfFeatures reads /metrics after events of which it is known what came late, twice and never, and checks the
// figures.
func TestMetricsOfFeatures(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "pitboss.events", "pitboss.events.dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	h := newHouse(t)
	h.edit(t, `brokers: \[\]`, "brokers: [\""+broker.ListenAddrs()[0]+"\"]")
	write(t, h.path("few.yaml"), fewFeatures)
	h.edit(t, `(?m)^bundle: .*$`, "feature_set: few.yaml")
	r := serve(t, h)
	now := time.Now().UTC()
	event := func(id string, ago time.Duration, game int) string {
		return fmt.Sprintf(`{"event_id": %q, "type": "bet.placed", "schema_version": 100, "tenant": "demo", "occurred_at": %q,
			"entities": [{"kind": "player", "value": "me", "form": "FORM_RAW"}, {"kind": "game", "value": "g%d", "form": "FORM_RAW"}], "bet_placed": {"amount": {"amount_minor": "100", "currency": "EUR"}}}`,
			id, now.Add(-ago).Format(time.RFC3339Nano), game)
	}
	var list []string
	for i := range 300 { // more games than a distinct count remembers
		list = append(list, event(fmt.Sprint("bet-", i), 10*time.Minute+time.Duration(300-i)*time.Second/100, i))
	}
	list = append(list, event("late", 30*time.Minute, 1), list[7], list[8])
	if code, data := r.do(t, http.MethodPost, "/v1/events", `{"events": [`+strings.Join(list, ",")+`]}`); code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic("pitboss.events"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte(list[9])}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	await(t, "the duplicate by kafka", func() bool { return r.service.feed.Stats().Duplicates == 1 && r.service.app.engine.Lag() == 0 })
	for i := range 17 { // the first and the last of them are counted; without a bundle no decision reads any
		r.vector(t, event(fmt.Sprint("asked-", i), 0, 0))
	}
	code, data := r.do(t, http.MethodGet, "/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", code, data)
	}
	hash := r.service.app.set.Hash[:4]
	of := func(feature string) string { return fmt.Sprintf(`{feature=%q,set="few %x"`, feature, hash) }
	group := map[string]string{}
	for _, s := range r.service.app.engine.GroupStats() {
		name, _, _ := strings.Cut(s.Group, " ")
		group[name] = fmt.Sprintf(`{group=%q,kind="player"`, s.Group)
	}
	wants := []string{
		"pitboss_features_sampled_values_total" + of("bets_1h") + `,status="present"} 2`,
		"pitboss_features_sampled_values_total" + of("games_1h") + `,status="capped"} 2`,
		"pitboss_features_sampled_values_total" + of("odds") + `,status="missing"} 2`,
		"pitboss_features_sampled_nulls_total" + of("odds") + "} 2",
		"pitboss_features_sampled_nulls_total" + of("bets_1h") + "} 0",
		"pitboss_features_sampled_age_seconds_count" + of("bets_1h") + "} 2",
		"pitboss_features_sampled_without_event_total" + of("bets_1h") + "} 0",
		`pitboss_features_feature_groups{feature="bets_1h",` + strings.TrimPrefix(group["bets"], "{") + strings.TrimPrefix(of("bets_1h"), `{feature="bets_1h"`) + "} 1",
		"pitboss_features_group_events_total" + group["bets"] + "} 301",
		"pitboss_features_group_late_events_total" + group["bets"] + "} 1",
		"pitboss_features_group_duplicate_events_total" + group["bets"] + "} 3",
		"pitboss_features_group_events_total" + group["rejected"] + "} 0",
		"pitboss_features_group_without_event_total" + group["rejected"] + "} 2",
		"pitboss_features_group_without_event_total" + group["bets"] + "} 0",
		"pitboss_features_group_age_seconds_bucket" + group["bets"] + `,le="60"} 0`,
		"pitboss_features_group_age_seconds_bucket" + group["bets"] + `,le="3600"} 2`,
		"pitboss_features_group_age_seconds_count" + group["bets"] + "} 2",
		"pitboss_features_duplicate_events_total 3",
		"pitboss_features_consumer_lag_records 0",
		`pitboss_feed_lag_records{partition="0",topic="pitboss.events"} 0`,
	}
	for _, want := range wants {
		if !strings.Contains(string(data), want+"\n") {
			name, _, _ := strings.Cut(want, "{")
			t.Errorf("/metrics has not %s, but:", want)
			for line := range strings.Lines(string(data)) {
				if strings.HasPrefix(line, name) {
					t.Log(strings.TrimSpace(line))
				}
			}
		}
	}
}

// TestUnknownFieldsEndToEnd sends what a newer minor schema has: it is in the record, which replays, the same event without it
// is a duplicate, and the figures name it.
func TestUnknownFieldsEndToEnd(t *testing.T) {
	h := newHouse(t)
	r := serve(t, h)
	newer := &pb.DecisionRequest{}
	if err := protojson.Unmarshal([]byte(bet("newer", 250)), newer); err != nil {
		t.Fatal(err)
	}
	newer.Event.SchemaVersion = 101
	older := proto.CloneOf(newer)
	newer.GetEvent().GetBetPlaced().ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 7))
	client := pb.NewDecisionServiceClient(r.conn)
	first, err := client.Decide(t.Context(), newer)
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.Decide(t.Context(), older)
	if err != nil || again.GetStatus() != pb.Status_STATUS_DUPLICATE || again.GetDecisionId() != first.GetDecisionId() {
		t.Errorf("the same event by an older relay: %v, %v; want the first decision", again, err)
	}
	frame, err := r.service.app.engine.Record(t.Context(), "demo", first.GetDecisionId())
	if err != nil {
		t.Fatal(err)
	}
	want := []*pb.UnknownField{{Path: "bet_placed#900", Protobuf: "oDgH"}}
	if diff := cmp.Diff(want, frame.GetEvent().GetUnknown(), protocmp.Transform()); diff != "" {
		t.Errorf("in the record (-want +got):\n%s", diff)
	}
	_, metrics := r.do(t, http.MethodGet, "/metrics", "")
	if want := `pitboss_edge_unknown_fields_total{kept="true",path="bet_placed#900"} 1`; !strings.Contains(string(metrics), want) {
		t.Errorf("/metrics has not %s", want)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	must(t, "replay", "--config", h.config, "--all")
	must(t, "events", "export", "--config", h.config, "--out", h.path("lake"))
}

// TestTimelineSource serves a set that reads the source: it follows the journal, by itself, also after a restart.
func TestTimelineSource(t *testing.T) {
	h := newHouse(t)
	write(t, h.path("set.yaml"), `format: 1
name: timeline
version: "1"
features:
  - {name: missing, source: timeline, key: producer_missing}
  - {name: open, source: timeline, key: player_never_closed}
`)
	h.edit(t, `(?m)^bundle: .*$`, "feature_set: set.yaml")
	now := time.Now().UTC()
	event := func(id, kind string, seq int, ago time.Duration) string {
		return fmt.Sprintf(`{"event_id": %q, "type": %q, "tenant": "demo", "occurred_at": %q, "producer_id": "engine", "producer_seq": %d, "entities":
			[{"kind": "player", "value": "me", "form": "FORM_RAW"}, {"kind": "round", "value": %q, "form": "FORM_RAW"}, {"kind": "game", "value": "g", "form": "FORM_RAW"}], %q: {}}`,
			id, kind, now.Add(-ago).Format(time.RFC3339Nano), seq, id, strings.Replace(kind, ".", "_", 1))
	}
	r := serve(t, h)
	list := event("a", "round.started", 1, 20*time.Minute) + "," + event("b", "round.started", 5, time.Second)
	if code, data := r.do(t, http.MethodPost, "/v1/events", `{"events": [`+list+`]}`); code != http.StatusOK || strings.Contains(string(data), "REJECTED") {
		t.Fatalf("%d %s", code, data)
	}
	check := func(when string) {
		t.Helper()
		await(t, "the timeline to read "+when, func() bool { return r.service.app.timeline.Stats().Rounds == 2 })
		v := r.vector(t, event("c", "round.started", 6, 0))
		if !slices.Equal(v.Values, []float64{3, 1}) || !slices.Equal(v.Status, []features.Status{features.Present, features.Present}) || len(v.Sourced) != 2 || v.Sourced[0].Source != "timeline" || v.Sourced[0].Version == "" {
			t.Errorf("%s: %v %v, pinned %+v; want 3 numbers missing and 1 round open", when, v.Values, v.Status, v.Sourced)
		}
	}
	check("what was sent")
	_, data := r.do(t, http.MethodGet, "/metrics", "")
	for _, want := range []string{
		"pitboss_timeline_rounds_never_closed 1", `pitboss_timeline_producer_missing_numbers{producer="engine",tenant="demo"} 3`, "pitboss_timeline_stale 0",
	} {
		if !strings.Contains(string(data), want+"\n") {
			t.Errorf("/metrics has not %s", want)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = serve(t, h)
	check("what the journal has")
}

// vector reads the vector of an event that is not kept.
func (r *running) vector(t *testing.T, event string) *features.Vector {
	t.Helper()
	msg, ev := &pb.Event{}, &features.Event{}
	if err := protojson.Unmarshal([]byte(event), msg); err != nil {
		t.Fatal(err)
	}
	a := r.service.app
	if err := a.edge.Accept(msg, time.Now(), ev); err != nil {
		t.Fatal(err)
	}
	slot, err := a.engine.Admit(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	v := &features.Vector{}
	if err := a.engine.Vector(t.Context(), slot, a.set, v); err != nil {
		t.Fatal(err)
	}
	return v
}
