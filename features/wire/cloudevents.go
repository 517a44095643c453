package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// envelope is what CloudEvents 1.0 says about an event beside its data
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md). How it maps:
//
//	id      event_id, where the event has none; another one is refused
//	type    type, likewise
//	time    occurred_at, likewise, compared to the microsecond
//	source  producer_id, where the event has none; an event's own one stays
//	subject, extensions  not read: they may be personal, and an event names whom it is about in entities
type envelope struct {
	specVersion, id, kind, source, time string
}

// binaryEnvelope reads the headers of CloudEvents' binary mode: each attribute is a header ce_NAME.
func binaryEnvelope(r *kgo.Record) *envelope {
	e := &envelope{}
	for _, h := range r.Headers {
		name, ok := strings.CutPrefix(strings.ToLower(h.Key), "ce_")
		if !ok {
			continue
		}
		if to := e.attribute(name); to != nil {
			*to = string(h.Value)
		}
	}
	return e
}

// attribute gives the place of an attribute that is read, nil for others.
func (e *envelope) attribute(name string) *string {
	switch name {
	case "specversion":
		return &e.specVersion
	case "id":
		return &e.id
	case "type":
		return &e.kind
	case "source":
		return &e.source
	case "time":
		return &e.time
	}
	return nil
}

// into puts the envelope's attributes into an event. The event is as it came where they contradict it.
func (e *envelope) into(msg *pb.Event) *edge.Error {
	if *e == (envelope{}) {
		return nil
	}
	if e.specVersion != "1.0" {
		return refuse(Undecodable, "", "CloudEvents headers of another version than 1.0 (ce_specversion)")
	}
	if e.id != "" && msg.EventId != "" && e.id != msg.EventId {
		return refuse(EnvelopeConflict, "event.event_id", "the CloudEvents id is another one")
	}
	if e.kind != "" && msg.Type != "" && e.kind != msg.Type {
		return refuse(EnvelopeConflict, "event.type", "the CloudEvents type is another one")
	}
	if e.time != "" {
		at, err := time.Parse(time.RFC3339Nano, e.time)
		switch {
		case err != nil:
			return refuse(Undecodable, "event.occurred_at", "the CloudEvents time is not one of RFC 3339")
		case msg.OccurredAt == nil:
			msg.OccurredAt = timestamppb.New(at)
		case !msg.OccurredAt.AsTime().Truncate(time.Microsecond).Equal(at.Truncate(time.Microsecond)):
			return refuse(EnvelopeConflict, "event.occurred_at", "the CloudEvents time is another one")
		}
	}
	fill(&msg.EventId, e.id)
	fill(&msg.Type, e.kind)
	fill(&msg.ProducerId, e.source)
	return nil
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// structured reads CloudEvents' structured mode: one JSON object with the attributes and the event in data, or in
// data_base64 where it is not JSON.
func (d *Decoder) structured(value []byte, msg *pb.Event) *edge.Error {
	e := &envelope{}
	var data json.RawMessage
	var packed, media string
	err := members(value, func(name string, raw json.RawMessage) bool {
		to := e.attribute(name)
		switch name {
		case "data":
			data = raw
			return true
		case "data_base64":
			to = &packed
		case "datacontenttype":
			to = &media
		}
		return to == nil || json.Unmarshal(raw, to) == nil
	})
	switch {
	case err != "":
		return refuse(Undecodable, "", "not a CloudEvent in JSON: %s", err)
	case e.specVersion == "":
		return refuse(Undecodable, "specversion", "a CloudEvent in JSON needs it; this build reads 1.0")
	case (data == nil) == (packed == ""):
		return refuse(Undecodable, "data", "give data or data_base64, one of the two")
	}
	if refused := d.structuredData(data, packed, media, msg); refused != nil {
		return refused
	}
	return e.into(msg)
}

// structuredData reads the event itself.
func (d *Decoder) structuredData(data json.RawMessage, packed, media string, msg *pb.Event) *edge.Error {
	if data != nil {
		return decodeJSON(data, msg)
	}
	value, err := base64.StdEncoding.DecodeString(packed)
	if err != nil || len(value) == 0 {
		return refuse(Undecodable, "data_base64", "not base64, or empty")
	}
	return d.value(d.formatOf(mediaOf(media), "", value), value, msg)
}

// members calls f with each member of a JSON object, and says what is wrong with it. Names are told apart by case, and
// none may come twice, unlike with encoding/json's structs: two readers of one record must see the same event.
func members(value []byte, f func(name string, raw json.RawMessage) bool) (problem string) {
	dec := json.NewDecoder(bytes.NewReader(value))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "not an object"
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return "not JSON"
		}
		if seen[name] {
			return "a member comes twice"
		}
		seen[name] = true
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return "not JSON"
		}
		if !f(name, raw) {
			return "an attribute is not text"
		}
	}
	if _, err := dec.Token(); err != nil {
		return "not JSON"
	}
	if len(bytes.TrimSpace(value[dec.InputOffset():])) > 0 {
		return "something follows it"
	}
	return ""
}
