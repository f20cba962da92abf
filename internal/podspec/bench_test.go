package podspec_test

import (
	"testing"

	"armada/internal/podspec"
)

func BenchmarkDecode(b *testing.B) {
	raw := wire(b, ordinary)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := podspec.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonicalAndTemplateID(b *testing.B) {
	s := spec(b, ordinary)
	b.ReportAllocs()
	for b.Loop() {
		podspec.TemplateID(s.Canonical())
	}
}

func BenchmarkValidate(b *testing.B) {
	s, r := spec(b, ordinary), podspec.DefaultRules(table)
	b.ReportAllocs()
	for b.Loop() {
		if wrong := s.Validate(r, "job_request_items[0].pod_spec"); len(wrong) > 0 {
			b.Fatal(wrong)
		}
	}
}

func BenchmarkRequirementsAndShape(b *testing.B) {
	s, r := spec(b, affine), podspec.DefaultRules(table)
	s.Default(r)
	b.ReportAllocs()
	for b.Loop() {
		s.Requirements(r).Shape(table)
	}
}
