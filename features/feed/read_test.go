package feed_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pitboss/features/feed"
)

// The essential tests run on kfake and on a real Kafka: what a broker does is half of what a feed does.

func TestFeedOnKfake(t *testing.T) {
	essential(t, func(t *testing.T) *broker { t.Helper(); return newFake(t) })
}

func TestFeedOnKafka(t *testing.T) { essential(t, realKafka) }

func essential(t *testing.T, kafka func(*testing.T) *broker) {
	t.Helper()
	if kafka(t) == nil { // skips where there is none
		t.Fatal("no broker")
	}
	for _, test := range []struct {
		name string
		run  func(*rig)
	}{
		{"reads Protobuf and JSON", testReads},
		{"dead letters", testDeadLetters},
		{"goes on from the journal's offsets", testGoesOn},
		{"duplicates only advance", testDuplicates},
		{"offsets removed", testOffsetsRemoved},
		{"tail lost", testTailLost},
		{"topic made anew", testMadeAnew},
		{"topic made anew while reading", testMadeAnewWhileReading},
		{"topic appears later", testAppearsLater},
		{"starts at the end", testStartsAtTheEnd},
		{"aborted transactions", testAborted},
		{"two members", testTwoMembers},
		{"the same instance twice", testSameInstanceTwice},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := kafka(t)
			b.suffix += fmt.Sprintf("-%d", time.Now().UnixNano()%1e6)
			test.run(newRig(t, b))
		})
	}
}

func testReads(r *rig) {
	t := r.t
	r.kafka.create(t, 2, r.topic())
	records := r.bets(0, 6, 2)
	records = append(records, r.json(0, bet(6)), r.json(1, bet(7)))
	// A header decides before the first byte does.
	plain := r.json(0, bet(8))
	plain.Value = append([]byte(" "), plain.Value...)
	plain.Headers = []kgo.RecordHeader{{Key: "Content-Type", Value: []byte("application/json; charset=utf-8")}}
	r.kafka.send(t, append(records, plain)...)

	run := r.start()
	r.caughtUp()
	r.wantBets(9)
	for _, f := range r.frames() {
		ev := f.GetEvent()
		received := ev.GetReceivedAt().AsTime()
		if want := ev.GetOccurredAt().AsTime().Add(250 * time.Millisecond); !received.Equal(want) {
			t.Errorf("%s: received_at is %v, want the record's timestamp %v", ev.GetEventId(), received, want)
		}
		if got := ev.GetEntities()[0].GetValue(); len(got) == len("player-1") {
			t.Errorf("%s: the raw identifier %q is stored", ev.GetEventId(), got)
		}
		if k := f.GetKafka(); k.GetTopic() != r.topic() || len(k.GetTopicId()) != 16 {
			t.Errorf("%s: the frame comes from %v, want topic %q", ev.GetEventId(), k, r.topic())
		}
	}
	run.state(feed.StateReading)
	if got := run.Stats(); got.Records != 9 || got.Applied != 9 || got.Duplicates+got.Dead != 0 {
		t.Errorf("stats %+v, want 9 records, all applied", got)
	}
	until(t, "lag 0 on both partitions", func() bool {
		lags := run.Lags()
		return len(lags) == 2 && lags[0] == feed.Lag{Topic: r.topic(), Known: true} && lags[1] == feed.Lag{Topic: r.topic(), Partition: 1, Known: true}
	})
	r.wantCommitted(map[int32]int64{0: 5, 1: 4})
	run.stop()
	if s := run.Status(); s.State != feed.StateStopped || s.Error != "" {
		t.Errorf("status %+v, want stopped", s)
	}
	if len(run.Lags()) != 0 {
		t.Errorf("lags %v of a feed that has ended", run.Lags())
	}
}

// wantCommitted waits until the group has these offsets, which lag monitors read.
func (r *rig) wantCommitted(want map[int32]int64) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("committed offsets %v", want), func() bool {
		got, err := r.kafka.admin.FetchOffsets(r.t.Context(), r.cfg.Group)
		if err != nil {
			return false
		}
		for p, offset := range want {
			if o, ok := got.Lookup(r.topic(), p); !ok || o.At != offset {
				return false
			}
		}
		return true
	})
}

func testDeadLetters(r *rig) {
	t := r.t
	r.cfg.Tenants = []string{tenant}
	r.kafka.create(t, 1, r.topic())
	future := bet(100)
	late := r.record(0, future)
	late.Timestamp = future.GetOccurredAt().AsTime().Add(-6 * time.Second)
	other := bet(101)
	other.Tenant = "other"
	unknown := bet(102)
	unknown.Type = "bet.dreamt"
	newer := bet(103)
	newer.SchemaVersion = 200
	hidden := bet(104)
	hidden.EventId = "bet\u202e104"
	changed := bet(1)
	changed.GetBetPlaced().Amount.AmountMinor = 7
	keyed := r.raw(0, start, []byte(`{"event_id": 7`))
	keyed.Key, keyed.Headers = []byte("the key"), []kgo.RecordHeader{{Key: "trace", Value: []byte("t-1")}}
	records := []*kgo.Record{
		r.record(0, bet(0)),
		r.raw(0, start, []byte("\xff\xff no event")),
		keyed,
		r.record(0, bet(1)),
		r.raw(0, start, nil),
		r.raw(0, start, []byte(`{"surprise": 1}`)),
		late,
		r.record(0, other),
		r.record(0, unknown),
		r.record(0, newer),
		r.record(0, changed),
		r.record(0, bet(2)),
		r.record(0, hidden),
		r.raw(0, start, []byte(`{"event_id": "\ud800"}`)),
	}
	r.kafka.send(t, records...)
	run := r.start()
	r.caughtUp()
	r.wantBets(3)

	paths := map[int]string{5: "event.surprise", 12: "event.event_id", 13: "event.event_id"}
	got := r.letters()
	for offset, reason := range map[int]string{
		1: "UNDECODABLE", 2: "UNDECODABLE", 4: "EMPTY", 5: "UNDECODABLE", 6: "IN_FUTURE", 7: "WRONG_TENANT",
		8: "UNKNOWN_TYPE", 9: "NEWER_SCHEMA", 10: "CONFLICT", 12: "INVALID_FIELD", 13: "UNDECODABLE",
	} {
		at := fmt.Sprintf("%s/0/%d", r.topic(), offset)
		letter, ok := got[at]
		if !ok || letter.Reason != reason || letter.Message == "" {
			t.Errorf("record %d: dead letter %+v, want %s with a message", offset, letter, reason)
		}
		if want, ok := paths[offset]; ok && letter.Path != want {
			t.Errorf("record %d: the letter's path is %q, want %q", offset, letter.Path, want)
		}
		if letter.Value != string(records[offset].Value) {
			t.Errorf("record %d: the letter's value is %q, want the record's", offset, letter.Value)
		}
		delete(got, at)
	}
	if len(got) != 0 {
		t.Errorf("more dead letters than expected: %v", got)
	}
	until(t, "the counts", func() bool { return run.Stats().Dead == 11 && run.Stats().Applied == 3 })
	for _, rec := range r.kafka.all(t, r.cfg.DeadLetterTopic) {
		if !bytes.Equal(rec.Value, keyed.Value) {
			continue
		}
		if string(rec.Key) != "the key" || rec.Headers[0].Key != "trace" || string(rec.Headers[0].Value) != "t-1" {
			t.Errorf("the letter lost the record's key or headers: %q %v", rec.Key, rec.Headers)
		}
	}
}

func testGoesOn(r *rig) {
	t := r.t
	r.kafka.create(t, 3, r.topic())
	r.kafka.send(t, r.bets(0, 30, 3)...)
	run := r.start()
	r.caughtUp()
	r.wantCommitted(map[int32]int64{0: 10, 1: 10, 2: 10})
	run.stop()

	// What the group says is for lag monitors: whoever changes it changes nothing.
	r.kafka.send(t, r.bets(30, 60, 3)...)
	r.moveGroup(map[int32]int64{0: 0, 1: 20, 2: 15})
	run = r.start()
	r.caughtUp()
	r.wantBets(60)
	until(t, "30 records, none of them a duplicate", func() bool {
		s := run.Stats()
		return s.Records == 30 && s.Applied == 30
	})
}

// moveGroup sets the group's offsets, as an operator's tool would. A group with members refuses that, and a static member
// stays in it when its process ends.
func (r *rig) moveGroup(to map[int32]int64) {
	r.t.Helper()
	if _, err := r.kafka.admin.LeaveGroup(r.t.Context(), kadm.LeaveGroup(r.cfg.Group).InstanceIDs(r.cfg.Instance)); err != nil {
		r.t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	for p, offset := range to {
		offsets.AddOffset(r.topic(), p, offset, -1)
	}
	if err := r.kafka.admin.CommitAllOffsets(r.t.Context(), r.cfg.Group, offsets); err != nil {
		r.t.Fatal(err)
	}
}

func testDuplicates(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 5, 1)...)
	run := r.start()
	r.caughtUp()
	frames := len(r.frames())
	r.kafka.send(t, append(r.bets(0, 5, 1), r.bets(0, 5, 1)...)...)
	r.caughtUp() // the offsets are noted without a frame of an event
	if got := len(r.frames()); got != frames {
		t.Errorf("%d frames of events after duplicates, want %d as before", got, frames)
	}
	until(t, "10 duplicates", func() bool { return run.Stats().Duplicates == 10 })
	run.stop()
	run = r.start()
	run.state(feed.StateReading)
	r.kafka.send(t, r.bets(5, 6, 1)...)
	r.caughtUp()
	r.wantBets(6)
	until(t, "the one new record, and no other", func() bool { return run.Stats().Records == 1 })
}

func testOffsetsRemoved(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 10, 1)...)
	run := r.start()
	r.caughtUp()
	run.stop()
	r.kafka.send(t, r.bets(10, 20, 1)...)
	r.deleteBefore(15)

	refused := r.start().refused()
	if refused.Topic != r.topic() || refused.Partition != 0 {
		t.Errorf("refused %q partition %d, want %q 0", refused.Topic, refused.Partition, r.topic())
	}
	if want := "the next offset is 10, and the topic holds 15 to 19"; refused.Why != want {
		t.Errorf("refused because %q, want %q", refused.Why, want)
	}

	r.cfg.OutOfRange = "earliest"
	run = r.start()
	r.caughtUp()
	run.stop()
	r.cfg.OutOfRange = "refuse" // the choice was made, once
	run = r.start()
	run.state(feed.StateReading)
	run.stop()

	r.kafka.send(t, r.bets(20, 30, 1)...)
	r.deleteBefore(25)
	r.cfg.OutOfRange = "latest"
	run = r.start()
	run.state(feed.StateReading)
	run.stop() // nothing came: the choice holds all the same
	r.cfg.OutOfRange = "refuse"
	run = r.start()
	run.state(feed.StateReading)
	r.kafka.send(t, r.bets(30, 31, 1)...)
	r.caughtUp()
	ids := map[string]bool{}
	for _, f := range r.frames() {
		ids[f.GetEvent().GetEventId()] = true
	}
	if len(ids) != 10+5+1 || !ids["bet-15"] || ids["bet-14"] || ids["bet-29"] || !ids["bet-30"] {
		t.Errorf("%d events were applied: %v", len(ids), ids)
	}
	run.stop()
}

func (r *rig) deleteBefore(offset int64) {
	r.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(r.topic(), 0, offset, -1)
	if _, err := r.kafka.admin.DeleteRecords(r.t.Context(), offsets); err != nil {
		r.t.Fatal(err)
	}
}

// A tail that is lost looks like a journal that is ahead of the topic.
func testTailLost(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 3, 1)...)
	run := r.start()
	r.caughtUp()
	run.stop()
	at := r.engine.Offsets()
	at[0].Offset = 99
	if err := r.engine.Advance(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if got, want := r.start().refused().Why, "the next offset is 100, and the topic holds 0 to 2"; got != want {
		t.Errorf("refused because %q, want %q", got, want)
	}
	r.cfg.OutOfRange = "earliest"
	run = r.start()
	until(t, "the topic to be read again", func() bool { return run.Stats().Duplicates == 3 })
	r.caughtUp()
	r.wantBets(3)
}

func testMadeAnew(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 5, 1)...)
	run := r.start()
	r.caughtUp()
	run.stop()
	r.kafka.delete(t, r.topic())
	r.kafka.create(t, 2, r.topic())
	r.kafka.send(t, r.bets(5, 7, 1)...)

	refused := r.start().refused()
	if refused.Topic != r.topic() || refused.Partition != -1 {
		t.Errorf("refused %q partition %d, want %q -1", refused.Topic, refused.Partition, r.topic())
	}
	r.cfg.NewTopic = "restart"
	run = r.start()
	r.caughtUp()
	r.wantBets(7)
	run.stop()
	r.cfg.NewTopic = "refuse"
	run = r.start()
	run.state(feed.StateReading)
	r.kafka.send(t, r.bets(7, 9, 2)...)
	r.caughtUp()
	r.wantBets(9)
}

func testMadeAnewWhileReading(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(0, 5, 1)...)
	run := r.start()
	r.caughtUp()
	r.kafka.delete(t, r.topic())
	until(t, "the status to say that the topic is gone", func() bool { return run.Status().Error != "" })
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(5, 8, 1)...)
	run.refused()

	r.cfg.NewTopic = "restart"
	run = r.start()
	r.caughtUp()
	r.wantBets(8)
	// And where the choice stands in the configuration, nobody has to start anything.
	r.kafka.delete(t, r.topic())
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(8, 9, 1)...)
	r.caughtUp()
	r.wantBets(9)
}

func testAppearsLater(r *rig) {
	t := r.t
	first, second := r.topic(), r.topic()+"-2"
	r.cfg.Topics = []string{first, second}
	r.cfg.Start = "latest" // what is in a topic that appears after us came after us
	run := r.start()
	until(t, "the status to name both topics", func() bool {
		return run.Status().State == feed.StateConnecting && run.Status().Error != ""
	})
	r.kafka.create(t, 1, first)
	r.kafka.send(t, r.bets(0, 3, 1)...)
	r.caughtUp()
	run.state(feed.StateReading)
	if run.Status().Error == "" {
		t.Errorf("the status does not say that topic %q is missing", second)
	}
	r.cfg.Topics = []string{second}
	r.kafka.create(t, 2, second)
	r.kafka.send(t, r.bets(3, 7, 2)...)
	r.caughtUp()
	r.wantBets(7)
	until(t, "the status to be silent", func() bool { return run.Status().Error == "" })
	run.stop()
}

func testStartsAtTheEnd(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	r.kafka.send(t, r.bets(100, 110, 1)...)
	r.cfg.Start = "latest"
	run := r.start()
	run.state(feed.StateReading)
	run.stop()
	// The end was noted, though nothing was read: what comes while nobody reads is not lost.
	r.kafka.send(t, r.bets(0, 4, 1)...)
	run = r.start()
	r.caughtUp()
	r.wantBets(4)
	run.stop()
}

func testAborted(r *rig) {
	t := r.t
	r.kafka.create(t, 1, r.topic())
	client, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.addrs...), kgo.TransactionalID("t"+r.topic()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func(how kgo.TransactionEndTry, records ...*kgo.Record) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	send(kgo.TryCommit, r.bets(0, 2, 1)...)
	send(kgo.TryAbort, r.bets(90, 95, 1)...)
	send(kgo.TryCommit, r.bets(2, 4, 1)...)
	run := r.start()
	until(t, "four events", func() bool { return run.Stats().Applied == 4 })
	r.wantBets(4)
}

// Two members share a topic. Whatever moves between them is applied once, and flushed before it moves.
func testTwoMembers(r *rig) {
	t := r.t
	const partitions = 4
	r.kafka.create(t, partitions, r.topic())
	r.cfg.Instance = ""
	r.cfg.MaxBatch = 7
	r.kafka.send(t, r.bets(0, 100, partitions)...)
	first := r.start()
	first.state(feed.StateReading)
	r.kafka.send(t, r.bets(100, 400, partitions)...)
	r.kafka.send(t, r.bets(0, 50, partitions)...) // duplicates: their offsets are in no frame
	second := r.start()
	until(t, "the members to share", func() bool { return len(first.Lags()) == 2 && len(second.Lags()) == 2 })
	r.kafka.send(t, r.bets(400, 700, partitions)...)
	r.caughtUp()
	first.stop()
	r.kafka.send(t, r.bets(700, 800, partitions)...)
	r.caughtUp()
	r.wantBets(800)
	until(t, "the second to have everything", func() bool { return len(second.Lags()) == partitions })
	// Nothing moved without its offset, so nothing was read twice.
	all := first.Stats().Records + second.Stats().Records
	if got, want := first.Stats().Duplicates+second.Stats().Duplicates, all-800; got != want || got < 50 {
		t.Errorf("%d duplicates of %d records, want %d", got, all, want)
	}
	second.stop()
}

// A second process under the same name puts the first one out, and the first says so.
func testSameInstanceTwice(r *rig) {
	t := r.t
	r.kafka.create(t, 2, r.topic())
	r.kafka.send(t, r.bets(0, 10, 2)...)
	first := r.start()
	r.caughtUp()
	second := r.start()
	refused := first.refused()
	if !strings.Contains(refused.Why, `instance "pitboss"`) || !strings.HasPrefix(refused.Error(), "kafka: another process") {
		t.Errorf("refusal %q does not say what happened", refused)
	}
	r.kafka.send(t, r.bets(10, 20, 2)...)
	r.caughtUp()
	r.wantBets(20)
	second.stop()
}
