"""The columns of German Credit in the order of german.data, and what their codes mean (UCI's german.doc)."""

NUMERIC = "numeric"

COLUMNS: dict[str, str | dict[str, str]] = {
    "status": {
        "A11": "balance below 0 DM",
        "A12": "balance 0 to under 200 DM",
        "A13": "balance 200 DM or more, or salary paid in for at least 1 year",
        "A14": "no checking account",
    },
    "duration_months": NUMERIC,
    "credit_history": {
        "A30": "no credits taken, or all paid back duly",
        "A31": "all credits at this bank paid back duly",
        "A32": "existing credits paid back duly till now",
        "A33": "delay in paying off in the past",
        "A34": "critical account, or credits at other banks",
    },
    "purpose": {
        "A40": "new car",
        "A41": "used car",
        "A42": "furniture or equipment",
        "A43": "radio or television",
        "A44": "domestic appliances",
        "A45": "repairs",
        "A46": "education",
        "A48": "retraining",
        "A49": "business",
        "A410": "other",
    },
    "amount": NUMERIC,
    "savings": {
        "A61": "below 100 DM",
        "A62": "100 to under 500 DM",
        "A63": "500 to under 1000 DM",
        "A64": "1000 DM or more",
        "A65": "unknown, or no savings account",
    },
    "employment_since": {
        "A71": "unemployed",
        "A72": "less than 1 year",
        "A73": "1 to under 4 years",
        "A74": "4 to under 7 years",
        "A75": "7 years or more",
    },
    "installment_rate": NUMERIC,
    "personal_status": {
        "A91": "male, divorced or separated",
        "A92": "female, divorced, separated or married",
        "A93": "male, single",
        "A94": "male, married or widowed",
        "A95": "female, single",
    },
    "other_debtors": {"A101": "none", "A102": "co-applicant", "A103": "guarantor"},
    "residence_since": NUMERIC,
    "property": {
        "A121": "real estate",
        "A122": "building society savings or life insurance",
        "A123": "car or other",
        "A124": "unknown, or no property",
    },
    "age_years": NUMERIC,
    "other_installment_plans": {"A141": "bank", "A142": "stores", "A143": "none"},
    "housing": {"A151": "rent", "A152": "own", "A153": "for free"},
    "existing_credits": NUMERIC,
    "job": {
        "A171": "unemployed or unskilled, non-resident",
        "A172": "unskilled, resident",
        "A173": "skilled employee or official",
        "A174": "management, self-employed, highly qualified or officer",
    },
    "dependants": NUMERIC,
    "telephone": {"A191": "none", "A192": "yes, under the customer's name"},
    "foreign_worker": {"A201": "yes", "A202": "no"},
}

# Sex, marital status and origin must not decide about a credit.
LEFT_OUT = ("personal_status", "foreign_worker")

UNITS = {"duration_months": "months", "amount": "DM", "installment_rate": "class 1 to 4", "age_years": "years"}
