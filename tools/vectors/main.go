// Command vectors writes models/shap_amd64.s, the steps of models/shap_kernel.go and shap_repeated.go in AVX2: the same
// operations on the same points in the same order, and so the same bits (no fused multiply-add). scripts/gen.sh runs it.
//
// Usage: vectors -out shap_amd64.s
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Where the fields of step, kernel and factor lie: models' TestLayoutForAssembly holds them.
const (
	stepG, stepB, twigV, twigSlope, twigTest, twigFeature = 0, 16, 32, 48, 64, 68
	stepLeaf, stepTest, stepFeature                       = 72, 80, 84
	stepAt, stepLeft, stepRight, stepRepeat, stepSize     = 88, 92, 96, 100, 104

	kernelBins, kernelStates, kernelRows, kernelPhi, kernelWidth, kernelFresh, kernelFactors = 0, 8, 32, 56, 80, 88, 96
	factorShift, factorB                                                                     = 7, 64
	placeShift, vectorSize                                                                   = 6, 32
)

// pass is the code of one kind of step, in one direction, for all points of a pass.
type pass struct {
	step, bins, states, phi, rows, factors reg.GPVirtual
	width                                  int // vectors
	repeated                               bool
	a, weight                              []Op // A and B of the split: registers, or memory
}

func main() {
	ConstraintExpr("amd64")
	for _, repeated := range []bool{false, true} {
		write("twoLeaves", false, repeated, (*pass).twoLeaves)
		write("downInnerLeaf", false, repeated, (*pass).downInnerLeaf)
		write("upInnerLeaf", true, repeated, (*pass).upInnerLeaf)
		write("downInnerInner", false, repeated, (*pass).downInnerInner)
		write("upInnerInner", true, repeated, (*pass).upInnerInner)
	}
	write("twigLeaf", false, false, (*pass).twigLeaf)
	write("downTwigInner", false, false, (*pass).downTwigInner)
	write("upTwigInner", true, false, (*pass).upTwigInner)
	Generate()
}

// write makes one function: a loop over its steps for passes of up to 4 points, and one for up to 8.
func write(name string, up, repeated bool, body func(*pass)) {
	name += "AVX2"
	if repeated {
		name = name[:len(name)-4] + "RepeatedAVX2"
	}
	TEXT(name, NOSPLIT, "func(k *byte, steps *byte, n int)")
	kernel := Load(Param("k"), GP64())
	p := &pass{repeated: repeated, step: GP64(), bins: GP64(), states: GP64(), phi: GP64()}
	Load(Param("steps"), p.step)
	n := Load(Param("n"), GP64())
	MOVQ(Mem{Base: kernel, Disp: kernelBins}, p.bins)
	MOVQ(Mem{Base: kernel, Disp: kernelStates}, p.states)
	MOVQ(Mem{Base: kernel, Disp: kernelPhi}, p.phi)
	if repeated {
		p.rows, p.factors = GP64(), GP64()
		MOVQ(Mem{Base: kernel, Disp: kernelRows}, p.rows)
		MOVQ(Mem{Base: kernel, Disp: kernelFactors}, p.factors)
	}
	if up { // from the last step to the first
		last := GP64()
		LEAQ(Mem{Base: n, Disp: -1}, last)
		IMUL3Q(U8(stepSize), last, last)
		ADDQ(last, p.step)
	}
	fresh := GP64()
	MOVQ(Mem{Base: kernel, Disp: kernelFresh}, fresh)
	CMPQ(Mem{Base: kernel, Disp: kernelWidth}, U8(4))
	JG(LabelRef("wide"))
	for _, p.width = range []int{1, 2} {
		label := "narrow"
		if p.width == 2 {
			label = "wide"
		}
		Label(label)
		if !repeated {
			p.a, p.weight = nil, nil
			for i := range p.width {
				a := YMM()
				VMOVUPD(Mem{Base: fresh, Disp: vectorSize * i}, a)
				p.a = append(p.a, a)
			}
		}
		Label(label + "Step")
		if repeated {
			p.loadFactors()
		}
		body(p)
		if up {
			SUBQ(U8(stepSize), p.step)
		} else {
			ADDQ(U8(stepSize), p.step)
		}
		DECQ(n)
		JNZ(LabelRef(label + "Step"))
		VZEROUPPER()
		RET()
	}
}

// loadFactors finds A and B of a repeated split.
func (p *pass) loadFactors() {
	row := GP64()
	MOVL(Mem{Base: p.step, Disp: stepRepeat}, row.As32())
	MOVL(Mem{Base: p.rows, Disp: -4, Index: row, Scale: 4}, row.As32())
	SHLQ(U8(factorShift), row)
	ADDQ(p.factors, row)
	p.a, p.weight = nil, nil
	for i := range p.width {
		p.a = append(p.a, Mem{Base: row, Disp: vectorSize * i})
		p.weight = append(p.weight, Mem{Base: row, Disp: factorB + vectorSize*i})
	}
}

// right is 1 if the row goes right at a split: (bin - bins[slot]) >> 31.
func (p *pass) right(test int) reg.GPVirtual {
	slot, bin := GP64(), GP64()
	MOVWLZX(Mem{Base: p.step, Disp: test}, slot.As32())
	MOVWLZX(Mem{Base: p.step, Disp: test + 2}, bin.As32())
	MOVWLZX(Mem{Base: p.bins, Index: slot, Scale: 2}, slot.As32())
	SUBL(slot.As32(), bin.As32())
	SHRL(U8(31), bin.As32())
	return bin
}

// all is a number of the step in all lanes, chosen by the side.
func (p *pass) all(field int, side reg.GPVirtual) reg.VecVirtual {
	y := YMM()
	VBROADCASTSD(Mem{Base: p.step, Disp: field, Index: side, Scale: 8}, y)
	return y
}

func (p *pass) leaf() reg.VecVirtual {
	y := YMM()
	VBROADCASTSD(Mem{Base: p.step, Disp: stepLeaf}, y)
	return y
}

// place is where a state lies.
func (p *pass) place(field int) reg.GPVirtual {
	at := GP64()
	MOVL(Mem{Base: p.step, Disp: field}, at.As32())
	SHLQ(U8(placeShift), at)
	ADDQ(p.states, at)
	return at
}

func load(at reg.GPVirtual, i int) reg.VecVirtual {
	y := YMM()
	VMOVUPD(Mem{Base: at, Disp: vectorSize * i}, y)
	return y
}

func store(y reg.VecVirtual, at reg.GPVirtual, i int) {
	VMOVUPD(y, Mem{Base: at, Disp: vectorSize * i})
}

// line is b + g*A.
func (p *pass) line(g, b reg.VecVirtual, i int) reg.VecVirtual {
	y := YMM()
	VMULPD(p.a[i], g, y)
	VADDPD(b, y, y)
	return y
}

func mul(a Op, b reg.VecVirtual) reg.VecVirtual {
	y := YMM()
	VMULPD(a, b, y)
	return y
}

// minus is a - b.
func minus(a, b reg.VecVirtual) reg.VecVirtual {
	y := YMM()
	VSUBPD(b, a, y)
	return y
}

// weigh is P*B.
func (p *pass) weigh(x reg.VecVirtual, i int) reg.VecVirtual {
	if !p.repeated {
		return x
	}
	return mul(p.weight[i], x)
}

// contribute takes factor times the sum of all lanes from a contribution: the even ones, and the odd ones, in their order.
func (p *pass) contribute(sums []reg.VecVirtual, factor reg.VecVirtual, feature int) {
	sum, high := XMM(), XMM()
	for i, y := range sums {
		VEXTRACTF128(U8(1), y, high)
		if i == 0 {
			VADDPD(high, y.AsX(), sum)
		} else {
			VADDPD(y.AsX(), sum, sum)
			VADDPD(high, sum, sum)
		}
	}
	VUNPCKHPD(sum, sum, high)
	VADDSD(high, sum, sum)
	VMULSD(factor.AsX(), sum, sum)
	at := GP64()
	MOVL(Mem{Base: p.step, Disp: feature}, at.As32())
	phi := Mem{Base: p.phi, Index: at, Scale: 8}
	old := XMM()
	VMOVSD(phi, old)
	VSUBSD(sum, old, old)
	VMOVSD(old, phi)
}
