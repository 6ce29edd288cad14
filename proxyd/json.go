package proxyd

import (
	"encoding/json"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/syntax"
)

// jsonFormat reads bodies, and says where one is broken.
var jsonFormat = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		if err := json.Unmarshal(data, v); err != nil {
			return errors.New(syntax.Words(data, err))
		}
		return nil
	},
}
