package sim

import (
	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
)

// label decides what becomes known about an act, and when: late, for some never, and for some wrong.
func (s *Sim) label(t *told) {
	rng, cfg := &s.labels, &s.cfg.Labels
	known := rng.float()
	delay := rng.micros(cfg.Delay.Microseconds(), 0.7)
	wrong := rng.chance(cfg.Wrong)
	if t.truth.fraud && known < cfg.Missing || !t.truth.fraud && known >= cfg.Reviewed {
		return
	}
	if t.at+delay >= s.end {
		return
	}
	b := &eventBlock{}
	b.told = told{at: t.at + delay, ev: &b.ev, producer: producerRisk, truth: t.truth, player: t.player, name: t.name}
	ev := &b.ev
	ev.Type, ev.SchemaVersion, ev.Tenant, ev.Trust = "label.assigned", 100, t.ev.Tenant, pb.Trust_TRUST_SERVER
	ev.Brand, ev.Jurisdiction = t.ev.Brand, t.ev.Jurisdiction
	ev.OccurredAt = &b.at
	setTime(&b.at, b.told.at)
	for _, id := range t.ev.Entities {
		switch id.Kind {
		case "player", "account", "device", "ip", "instrument":
			ev.Entities = append(ev.Entities, proto.CloneOf(id))
		}
	}
	payload := &pb.LabelAssigned{
		TargetEventId: t.ev.EventId, Label: "honest", Source: "analyst", ConfidencePpm: 900_000, EffectiveAt: timeOf(t.at),
	}
	if t.truth.fraud != wrong {
		payload.Label, payload.Fraud = "fraud", 1
	}
	ev.Payload = &pb.Event_LabelAssigned{LabelAssigned: payload}
	s.postpone(&b.told)
}
