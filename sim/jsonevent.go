package sim

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// Fields of an event's envelope, and of what most events are, in the order of event.proto and catalogue.proto.
// TestJSONIsTheProto3Mapping compares with protojson, TestJSONOfEveryField finds a field that is not here.

// plain says whether an event has nothing but what a producer sends: no field that only the edge or the journal sets.
func plain(ev *pb.Event) bool {
	return ev.ReceivedAt == nil && ev.ClockQuality == nil && len(ev.Attributes) == 0 && ev.Enrichment == nil && len(ev.Unknown) == 0 &&
		ev.TraceId == "" && ev.SupersedesEventId == "" && ev.EventId != ""
}

// appendEvent writes a plain event.
func (p *planner) appendEvent(dst []byte, ev *pb.Event) ([]byte, error) {
	dst = appendString(append(dst, `{"eventId":`...), ev.EventId)
	dst = appendText(dst, `"type":`, ev.Type)
	dst = appendNumber(dst, `"schemaVersion":`, int64(ev.SchemaVersion))
	dst = appendText(dst, `"tenant":`, ev.Tenant)
	dst = appendText(dst, `"brand":`, ev.Brand)
	dst = appendText(dst, `"jurisdiction":`, ev.Jurisdiction)
	if ev.OccurredAt != nil {
		var err error
		if dst, err = p.appendTime(member(dst, `"occurredAt":`), ev.OccurredAt); err != nil {
			return nil, err
		}
	}
	dst = appendText(dst, `"producerId":`, ev.ProducerId)
	dst = appendCount(dst, `"producerSeq":`, ev.ProducerSeq)
	for i, id := range ev.Entities {
		if i == 0 {
			dst = append(member(dst, `"entities":`), '[')
		} else {
			dst = append(dst, ',')
		}
		dst = appendIdentifier(dst, id)
	}
	if len(ev.Entities) > 0 {
		dst = append(dst, ']')
	}
	switch ev.Trust {
	case pb.Trust_TRUST_UNSPECIFIED:
	case pb.Trust_TRUST_SERVER:
		dst = append(dst, `,"trust":"TRUST_SERVER"`...)
	default:
		dst = appendEnum(member(dst, `"trust":`), ev.Trust.Descriptor(), ev.Trust.Number())
	}
	dst = appendText(dst, `"transactionId":`, ev.TransactionId)
	dst = appendText(dst, `"referenceTransactionId":`, ev.ReferenceTransactionId)
	dst, err := p.appendPayload(dst, ev)
	if err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}

// appendPayload writes what happened: what a round is made of by hand, and everything else by reflection.
func (p *planner) appendPayload(dst []byte, ev *pb.Event) ([]byte, error) {
	switch e := ev.Payload.(type) {
	case *pb.Event_RoundStarted:
		m := e.RoundStarted
		dst = member(dst, `"roundStarted":{`)
		dst = appendText(dst, `"seedCommitHash":`, m.GetSeedCommitHash())
		dst = appendCount(dst, `"nonce":`, m.GetNonce())
		dst = appendText(dst, `"inputMode":`, m.GetInputMode())
		dst = appendCount(dst, `"clientSeq":`, m.GetClientSeq())
		dst = appendOptional(dst, `"maxRoundMs":`, m.MaxRoundMs)
	case *pb.Event_BetPlaced:
		dst = appendBet(member(dst, `"betPlaced":{`), e.BetPlaced)
	case *pb.Event_RoundResult:
		m := e.RoundResult
		dst = member(dst, `"roundResult":{`)
		if m.GetShownAt() != nil {
			var err error
			if dst, err = p.appendTime(member(dst, `"shownAt":`), m.GetShownAt()); err != nil {
				return nil, err
			}
		}
		dst = appendText(dst, `"outcomeHash":`, m.GetOutcomeHash())
		dst = appendText(dst, `"serverSeed":`, m.GetServerSeed())
		dst = appendText(dst, `"clientSeed":`, m.GetClientSeed())
		dst = appendText(dst, `"outcome":`, m.GetOutcome())
		dst = appendOptional(dst, `"payoutPpm":`, m.PayoutPpm)
	case *pb.Event_RoundClosed:
		m := e.RoundClosed
		dst = member(dst, `"roundClosed":{`)
		dst = appendAmount(dst, `"totalBet":`, m.GetTotalBet())
		dst = appendAmount(dst, `"totalWin":`, m.GetTotalWin())
		if m.GetInterrupted() {
			dst = append(member(dst, `"interrupted":`), "true"...)
		}
	case *pb.Event_WinCredited:
		m := e.WinCredited
		dst = member(dst, `"winCredited":{`)
		dst = appendAmount(dst, `"amount":`, m.GetAmount())
		dst = appendAmount(dst, `"jackpot":`, m.GetJackpot())
		dst = appendAmount(dst, `"real":`, m.GetReal())
		dst = appendAmount(dst, `"bonus":`, m.GetBonus())
		dst = appendAmount(dst, `"balanceBefore":`, m.GetBalanceBefore())
		dst = appendAmount(dst, `"balanceAfter":`, m.GetBalanceAfter())
	default:
		return p.appendAnyPayload(dst, ev)
	}
	return append(dst, '}'), nil
}

func appendBet(dst []byte, m *pb.BetPlaced) []byte {
	dst = appendAmount(dst, `"amount":`, m.GetAmount())
	dst = appendAmount(dst, `"real":`, m.GetReal())
	dst = appendAmount(dst, `"bonus":`, m.GetBonus())
	dst = appendText(dst, `"selection":`, m.GetSelection())
	dst = appendInt(dst, `"oddsPpm":`, m.GetOddsPpm())
	dst = appendInt(dst, `"clientTsMs":`, m.GetClientTsMs())
	dst = appendText(dst, `"gestureId":`, m.GetGestureId())
	dst = appendAmount(dst, `"balanceBefore":`, m.GetBalanceBefore())
	dst = appendAmount(dst, `"balanceAfter":`, m.GetBalanceAfter())
	dst = appendText(dst, `"inputMode":`, m.GetInputMode())
	return appendText(dst, `"grantId":`, m.GetGrantId())
}

func (p *planner) appendAnyPayload(dst []byte, ev *pb.Event) ([]byte, error) {
	m := ev.ProtoReflect()
	if p.payload == nil {
		p.payload = m.Descriptor().Oneofs().ByName("payload")
	}
	fd := m.WhichOneof(p.payload)
	if fd == nil {
		return dst, nil
	}
	dst = append(append(append(dst, ',', '"'), fd.JSONName()...), '"', ':')
	return p.appendMessage(dst, m.Get(fd).Message())
}

func appendMoney(dst []byte, m *pb.Money) []byte {
	dst = append(dst, '{')
	dst = appendInt(dst, `"amountMinor":`, m.AmountMinor)
	dst = appendText(dst, `"currency":`, m.Currency)
	if m.Exponent != nil {
		dst = strconv.AppendUint(member(dst, `"exponent":`), uint64(*m.Exponent), 10)
	}
	return append(appendOptional(dst, `"baseMinor":`, m.BaseMinor), '}')
}

func appendIdentifier(dst []byte, id *pb.Identifier) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, `"kind":`, id.Kind)
	dst = appendText(dst, `"value":`, id.Value)
	switch id.Form {
	case pb.Form_FORM_UNSPECIFIED:
	case pb.Form_FORM_RAW:
		dst = append(member(dst, `"form":`), `"FORM_RAW"`...)
	default:
		dst = appendEnum(member(dst, `"form":`), id.Form.Descriptor(), id.Form.Number())
	}
	return append(dst, '}')
}

// member begins a member of an object: a comma where it is not the first, and its name.
func member(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(dst, name...)
}

// The functions below append a member; nothing where the value is proto3's default.

func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(member(dst, name), s)
}

func appendNumber(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(member(dst, name), n, 10)
}

// appendInt appends an integer of 64 bits, which the mapping writes as a string.
func appendInt(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return append(strconv.AppendInt(append(member(dst, name), '"'), n, 10), '"')
}

func appendCount(dst []byte, name string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return append(strconv.AppendUint(append(member(dst, name), '"'), n, 10), '"')
}

func appendOptional(dst []byte, name string, n *int64) []byte {
	if n == nil {
		return dst
	}
	return append(strconv.AppendInt(append(member(dst, name), '"'), *n, 10), '"')
}

func appendAmount(dst []byte, name string, m *pb.Money) []byte {
	if m == nil {
		return dst
	}
	return appendMoney(member(dst, name), m)
}

func appendEnum(dst []byte, d protoreflect.EnumDescriptor, n protoreflect.EnumNumber) []byte {
	if v := d.Values().ByNumber(n); v != nil {
		return append(append(append(dst, '"'), v.Name()...), '"')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
