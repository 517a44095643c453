package edge_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// BenchmarkAccept takes a bet with six entities, four of them raw and personal, all built-in lists asked.
func BenchmarkAccept(b *testing.B) {
	e := open(b, config(b))
	msgs := make([]*pb.Event, 1024)
	template := bet()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev := new(features.Event) // as for a call: the engine may keep it
		if i%len(msgs) == 0 {
			b.StopTimer()
			for j := range msgs {
				msgs[j] = proto.CloneOf(template)
			}
			b.StartTimer()
		}
		if err := e.Accept(msgs[i%len(msgs)], now, ev); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAlias makes one alias.
func BenchmarkAlias(b *testing.B) {
	e := open(b, config(b))
	id := raw("player", "jane@example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Alias("casino", "entity", id); err != nil {
			b.Fatal(err)
		}
	}
}
