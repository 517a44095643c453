package sim

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// Fields of an event's envelope and their order are those of event.proto. TestJSONIsTheProto3Mapping compares with
// protojson.

// plain says whether an event has nothing but what a producer sends: no field that only the edge or the journal sets.
func plain(ev *pb.Event) bool {
	return ev.ReceivedAt == nil && ev.ClockQuality == nil && len(ev.Attributes) == 0 && ev.Enrichment == nil && len(ev.Unknown) == 0 &&
		ev.TraceId == "" && ev.SupersedesEventId == "" && ev.EventId != ""
}

// appendEvent writes a plain event.
func (p *planner) appendEvent(dst []byte, ev *pb.Event) ([]byte, error) {
	dst = appendString(append(dst, `{"eventId":`...), ev.EventId)
	dst = appendText(dst, `,"type":`, ev.Type)
	if ev.SchemaVersion != 0 {
		dst = strconv.AppendUint(append(dst, `,"schemaVersion":`...), uint64(ev.SchemaVersion), 10)
	}
	dst = appendText(dst, `,"tenant":`, ev.Tenant)
	dst = appendText(dst, `,"brand":`, ev.Brand)
	dst = appendText(dst, `,"jurisdiction":`, ev.Jurisdiction)
	if ev.OccurredAt != nil {
		var err error
		if dst, err = appendTime(append(dst, `,"occurredAt":`...), ev.OccurredAt); err != nil {
			return nil, err
		}
	}
	dst = appendText(dst, `,"producerId":`, ev.ProducerId)
	if ev.ProducerSeq != 0 {
		dst = append(strconv.AppendUint(append(dst, `,"producerSeq":"`...), ev.ProducerSeq, 10), '"')
	}
	for i, id := range ev.Entities {
		if i == 0 {
			dst = append(dst, `,"entities":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = appendIdentifier(dst, id)
	}
	if len(ev.Entities) > 0 {
		dst = append(dst, ']')
	}
	if ev.Trust != pb.Trust_TRUST_UNSPECIFIED {
		dst = appendEnum(append(dst, `,"trust":`...), ev.Trust.Descriptor(), ev.Trust.Number())
	}
	dst = appendText(dst, `,"transactionId":`, ev.TransactionId)
	dst = appendText(dst, `,"referenceTransactionId":`, ev.ReferenceTransactionId)
	m := ev.ProtoReflect()
	if fd := m.WhichOneof(p.oneof(m)); fd != nil {
		dst = append(append(append(dst, ',', '"'), fd.JSONName()...), '"', ':')
		var err error
		if dst, err = p.appendMessage(dst, m.Get(fd).Message()); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// oneof is the event's payload.
func (p *planner) oneof(m protoreflect.Message) protoreflect.OneofDescriptor {
	if p.payload == nil {
		p.payload = m.Descriptor().Oneofs().ByName("payload")
	}
	return p.payload
}

func appendMoney(dst []byte, m *pb.Money) []byte {
	dst = append(dst, '{')
	if m.AmountMinor != 0 {
		dst = append(strconv.AppendInt(append(dst, `"amountMinor":"`...), m.AmountMinor, 10), '"')
	}
	if m.Currency != "" {
		if m.AmountMinor != 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `"currency":`...), m.Currency)
	}
	return append(dst, '}')
}

func appendIdentifier(dst []byte, id *pb.Identifier) []byte {
	start := len(dst)
	dst = append(dst, '{')
	dst = appendText(dst, `,"kind":`, id.Kind)
	dst = appendText(dst, `,"value":`, id.Value)
	if id.Form != pb.Form_FORM_UNSPECIFIED {
		dst = appendEnum(append(dst, `,"form":`...), id.Form.Descriptor(), id.Form.Number())
	}
	if len(dst) > start+1 { // the comma before the first one
		dst = append(dst[:start+1], dst[start+2:]...)
	}
	return append(dst, '}')
}

// appendText appends a member whose name begins with its comma; nothing where the text is empty.
func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(append(dst, name...), s)
}

func appendEnum(dst []byte, d protoreflect.EnumDescriptor, n protoreflect.EnumNumber) []byte {
	if v := d.Values().ByNumber(n); v != nil {
		return append(append(append(dst, '"'), v.Name()...), '"')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
