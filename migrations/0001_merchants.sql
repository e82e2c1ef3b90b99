-- Merchants and the keys that speak for them. Global tables: everything below them names a merchant.

CREATE TABLE merchants (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind text NOT NULL DEFAULT 'merchant' CHECK (kind IN ('merchant', 'platform')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    psp text NOT NULL CHECK (psp ~ '^[a-z0-9_]{1,40}$'),
    fee_basis_points integer NOT NULL DEFAULT 290 CHECK (fee_basis_points BETWEEN 0 AND 10000),
    fee_fixed_minor bigint NOT NULL DEFAULT 30 CHECK (fee_fixed_minor BETWEEN 0 AND 999999999999),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN merchants.status IS 'suspended: no new payments, refunds and reads go on; closed: reads only';
COMMENT ON COLUMN merchants.psp IS 'the route: the PSP of a payment that names none';

-- A key is shown once. Its 256 random bits make a plain SHA-256 as good as a slow hash, and it is looked up by it.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    kind text NOT NULL CHECK (kind IN ('secret', 'publishable')),
    scopes text[] NOT NULL,
    display text NOT NULL CHECK (length(display) <= 24),
    key_hash bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    rate_per_s integer CHECK (rate_per_s > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX api_keys_of_merchant ON api_keys (merchant_id, id);
COMMENT ON COLUMN api_keys.display IS 'the first characters of the key, to recognise it in a list';
