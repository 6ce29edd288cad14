package bench

import "github.com/damrey/damrey"

// against measures the same work with instances that count by route and send
// beats, and as raw with instances that do not.
func against(s *site, open func(suffix string) (measure, error)) (off, on measure, err error) {
	s.opts = []damrey.Option{damrey.WithoutReports()}
	off, err = open("-off")
	s.opts = nil
	if err != nil {
		return nil, nil, err
	}
	on, err = open("-on")
	return off, on, err
}

func openSendBeats(s *site) (off, on measure, err error) {
	return against(s, func(suffix string) (measure, error) { return ourSend(s, suffix, damrey.Command{Name: "ask"}) })
}

func openRequestBeats(s *site) (off, on measure, err error) {
	url := s.broker.ClientURL()
	return against(s, func(suffix string) (measure, error) { return ourRequests(s, suffix, url, url, 1) })
}

func openLineBeats(s *site) (off, on measure, err error) {
	return against(s, func(suffix string) (measure, error) { return ourLine(s, suffix, s.broker.ClientURL(), 64) })
}
