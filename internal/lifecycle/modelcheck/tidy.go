package modelcheck

// tidy drops messages that can do nothing any more, whenever they arrive, so
// that states that differ in nothing else are one. The rules that make them
// void are not those that the flaw leaves out.
func (p *protocol) tidy(s State) State {
	for e := range uint8(executors) {
		a, n, st := &s.Agents[e], &s.Networks[e], &s.Store
		if a.Dead {
			n.Starts, n.Stops, n.Ack = 0, 0, Beat{}
			if a.Session == sessions {
				a.Pods = [attempts]pod{} // it does not come back
			}
		}
		for attempt := uint8(1); attempt <= attempts; attempt++ {
			pod := a.Pods[attempt-1]
			for session := uint8(1); session <= sessions; session++ {
				b := bit(session, attempt)
				old := session < a.Session && p.flaw != TakesOldPushes
				if old || pod != unknown && p.flaw == Flawless {
					n.Starts &^= b
				}
				if old || pod != unknown && pod != running && p.flaw == Flawless {
					n.Stops &^= b
				}
			}
			if over := st.Attempts != attempt || st.Holder != e || !st.Run.Active(); over && !pod.ended() {
				n.Reports[attempt-1] = unknown
			}
		}
		if n.Beat.Session < st.Session[e] {
			n.Beat = Beat{}
		}
		if n.Ack.Session < a.Session || !s.orphans(e) && n.Ack.Age >= a.Age && p.flaw != AnyAckRenews && p.flaw != CountsFromReceipt {
			n.Ack = Beat{}
		}
		if n.Ack.Session == 0 || !s.orphans(e) {
			n.Valid = 0 // nobody looks at it
		}
	}
	return s
}

func (s *State) orphans(e uint8) bool {
	for _, pod := range s.Agents[e].Pods {
		if pod == orphaned {
			return true
		}
	}
	return false
}
