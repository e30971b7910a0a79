select
    evidence_class,
    payer_evidence,
    time_evidence,
    candidate_evidence,
    suggestion_count,
    right_count,
    precision_share,
    confidence
from {{ ref('int_match_calibration') }}
