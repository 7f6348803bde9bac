//! The service catalogue every tenant holds: 13 parents, 52 children (two names exist under two parents).
//!
//! Source: `mapping/services.json` (names, catalogue ids); `oscar.md` 2.7 (the same
//! ids for every child, so they name no record).

/// One row of a tenant's service table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: &'static str,
    pub uuid: &'static str,
    pub parent: Option<&'static str>,
}

const fn row(name: &'static str, uuid: &'static str, parent: Option<&'static str>) -> Service {
    Service { name, uuid, parent }
}

/// Indices of the rows whose name equals one of `names`, exactly and case-sensitively (`oscar.md` 3.2).
pub(super) fn named<'a>(names: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let wanted: Vec<&str> = names.collect();
    (0..CATALOGUE.len())
        .filter(|&at| wanted.contains(&CATALOGUE[at].name))
        .collect()
}

/// All rows, parents first.
pub const CATALOGUE: &[Service] = &[
    row(
        "Social Work / Case Work",
        "01ad068b-fbe1-4ba4-955b-701c39064ad1",
        None,
    ),
    row("Family Based Care", "070bc9bd-6b71-4dcb-8dc8-a27c39c4ade3", None),
    row("Drug/Alcohol", "23b00ad0-02b9-42c0-9fea-cc8e90a4385b", None),
    row("Counselling", "30e4d990-a93c-4f5f-bf49-95d263e923f5", None),
    row(
        "Financial Development",
        "3bd845fd-5e43-43fb-a7c2-9681535b2777",
        None,
    ),
    row("Disability Support", "593b1bde-eb5f-474e-af4e-8acaee656888", None),
    row("Medical Support", "763c430d-fc92-4755-87f5-dde8ff6076ee", None),
    row("Legal Support", "835dfb2d-2f17-45a1-96d3-8bdc304dc8ad", None),
    row(
        "Mental Health Support",
        "922c33c9-25c4-4fdc-b32e-24e929eaac37",
        None,
    ),
    row(
        "Training and Education",
        "a3045453-e5a1-4a89-b442-443c062a4e63",
        None,
    ),
    row("Family Support", "c9eb9132-b742-420a-8be5-dba9bfdbf4de", None),
    row("Anti-Trafficking", "cbfd99bc-41bc-4686-be60-8cc70d6430c2", None),
    row("Other", "efc03a88-165f-412a-ba3a-ff6211c5a9ce", None),
    row(
        "Generalist social work / case work",
        "042ffb1c-51de-404b-b69b-fdb9e15c9d36",
        Some("Social Work / Case Work"),
    ),
    row(
        "Emergency foster care",
        "155c6b46-ac10-4226-b9fd-6e117111b08c",
        Some("Family Based Care"),
    ),
    row(
        "Drug and Alcohol Counselling",
        "2ce1dfad-250f-4b97-b297-cf93971c5199",
        Some("Drug/Alcohol"),
    ),
    row(
        "Generalist counselling",
        "318d3ae6-979d-47e7-9d94-2bb978102078",
        Some("Counselling"),
    ),
    row(
        "Direct material assistance",
        "3c36d45b-bf1a-4988-80b8-767183082d45",
        Some("Financial Development"),
    ),
    row(
        "Therapeutic interventions",
        "9a3b4c0e-c2bb-4ca6-bbf2-23b7ae933af4",
        Some("Disability Support"),
    ),
    row(
        "Therapeutic interventions",
        "9a3b4c0e-c2bb-4ca6-bbf2-23b7ae933af4",
        Some("Mental Health Support"),
    ),
    row(
        "Support to access care",
        "7b97ef20-4c25-4d83-b2cb-60efc1ba300f",
        Some("Medical Support"),
    ),
    row(
        "Support to access legal services",
        "86659a7b-52d4-4208-b73d-2ddf4d6dd5cd",
        Some("Legal Support"),
    ),
    row(
        "School support",
        "a5647de9-4849-4106-a85c-6dbc0ac0ba50",
        Some("Training and Education"),
    ),
    row(
        "Family support",
        "cb5bea66-c7eb-49ca-8fa7-a7d0ef0c889f",
        Some("Family Support"),
    ),
    row(
        "Rescue Services",
        "cd738c25-49ea-4089-8267-8b56cac6da86",
        Some("Anti-Trafficking"),
    ),
    row(
        "Residential Care Institution",
        "eff810d3-f1ff-4c79-976c-c3fcf5d4e392",
        Some("Other"),
    ),
    row(
        "Community social work",
        "0568a6f3-68a5-4fff-91c4-aafe4cd606ba",
        Some("Social Work / Case Work"),
    ),
    row(
        "Long term foster care",
        "1843eb37-7ec8-4131-8fb9-857559ac379b",
        Some("Family Based Care"),
    ),
    row(
        "Detox / rehabilitation services",
        "2eda5b5e-713a-4d8b-aba3-fc6677101583",
        Some("Drug/Alcohol"),
    ),
    row(
        "Counselling for abuse survivors",
        "31d3e688-3114-4c3b-9c7d-5108617ba045",
        Some("Counselling"),
    ),
    row(
        "Direct financial assistance",
        "4d1df9a8-1e90-40e3-b978-93d283a4a48d",
        Some("Financial Development"),
    ),
    row(
        "Disability respite care",
        "5fe1565f-b152-478e-952d-40ca8ed81a94",
        Some("Disability Support"),
    ),
    row(
        "Provision of medical care",
        "7c3fd50a-4ec0-45df-b359-d584cbd587af",
        Some("Medical Support"),
    ),
    row(
        "Legal advocacy services",
        "8a601af1-b738-4ed8-b47e-fcd079c00b33",
        Some("Legal Support"),
    ),
    row(
        "Therapeutic training",
        "9ea024e4-9a6b-4e6e-a0d6-e65758ef5462",
        Some("Mental Health Support"),
    ),
    row(
        "Therapeutic training",
        "9ea024e4-9a6b-4e6e-a0d6-e65758ef5462",
        Some("Disability Support"),
    ),
    row(
        "Supplementary school education",
        "ac096f81-c062-4553-b933-8d0619d6afd6",
        Some("Training and Education"),
    ),
    row(
        "Transitional Accommodation",
        "cee0935f-e7c2-4905-9a97-dd98a740c527",
        Some("Anti-Trafficking"),
    ),
    row(
        "Not Specified",
        "f1a4e827-19f7-4f96-90f6-69e35f73d867",
        Some("Other"),
    ),
    row(
        "Kinship care",
        "1a1accbd-90a9-4c71-a077-2595322744cb",
        Some("Family Based Care"),
    ),
    row(
        "Detox support",
        "3084b947-db6c-49fd-b99b-aab64bc01e11",
        Some("Drug/Alcohol"),
    ),
    row(
        "Trauma counselling",
        "37cd9808-c417-4a19-9563-36ac7865e2f8",
        Some("Counselling"),
    ),
    row(
        "Income generation services",
        "583dea6d-c0e0-40d5-ba1f-ce4bf7ec1d43",
        Some("Financial Development"),
    ),
    row(
        "Medical training services",
        "7cf865ff-04df-42d1-b56c-0454869a8c5d",
        Some("Medical Support"),
    ),
    row(
        "Legal representation",
        "8f12963c-7b3a-4161-b40c-5ee2bbfd587b",
        Some("Legal Support"),
    ),
    row(
        "Direct medical support",
        "a06ff170-2452-49b6-b357-257b9b741a4c",
        Some("Mental Health Support"),
    ),
    row(
        "Vocational education and training",
        "af088c36-d75f-4d8f-bc75-98d705faf625",
        Some("Training and Education"),
    ),
    row(
        "Post-Trafficking Counseling",
        "d3df3fdb-1db2-463d-ae12-e43ee3e759fb",
        Some("Anti-Trafficking"),
    ),
    row(
        "Other Service",
        "f1a4e827-19f7-4f96-90f6-69e35f73d867",
        Some("Other"),
    ),
    row(
        "Domestic adoption support",
        "1bd9f758-b332-4711-90df-67cf2da5fbef",
        Some("Family Based Care"),
    ),
    row(
        "Family counselling / mediation",
        "3a3934a1-4e1f-4376-88f0-74aba189b616",
        Some("Counselling"),
    ),
    row(
        "Day care services",
        "5935484c-22bf-42b3-b86f-826ae7decccc",
        Some("Financial Development"),
    ),
    row(
        "Disability-aid provision",
        "6a57e90a-80a1-49ee-abe9-b429b56c1591",
        Some("Disability Support"),
    ),
    row(
        "Health education",
        "7dff4d85-3c89-4bcd-8130-25733419f46a",
        Some("Medical Support"),
    ),
    row(
        "Prison visitation support",
        "920868cf-4586-47dd-8536-5c1159b950f1",
        Some("Legal Support"),
    ),
    row(
        "Material support for education (uniforms, etc)",
        "af99e68e-872b-4a6f-a6fc-785e1ba76db3",
        Some("Training and Education"),
    ),
    row(
        "Community Reintegration Support",
        "defe205c-5f8c-42ba-b3f9-4d905b856b2f",
        Some("Anti-Trafficking"),
    ),
    row(
        "Family preservation",
        "1f9219fd-39fb-4f78-be49-6d49e65e3a82",
        Some("Family Based Care"),
    ),
    row(
        "Peripheral supports",
        "6bd0d621-4a17-40dd-92c4-249270e44819",
        Some("Disability Support"),
    ),
    row(
        "Scholarships or financial support",
        "b3109dcc-cd03-44cd-b6cf-811dcfc246ff",
        Some("Training and Education"),
    ),
    row(
        "Family reunification",
        "2292c429-1384-4f47-a5aa-dace6a7425fd",
        Some("Family Based Care"),
    ),
    row(
        "Support groups",
        "71dc3014-9ff6-4fa2-9da8-ad9fe75be051",
        Some("Disability Support"),
    ),
    row(
        "Life skills",
        "c7db1f28-8235-409c-acfd-51b0a1d546c8",
        Some("Training and Education"),
    ),
    row(
        "Independent Living",
        "2332dd46-0dd6-4de5-8dc4-9a231b3de9d4",
        Some("Family Based Care"),
    ),
    row(
        "Literacy Support",
        "f1d4c696-1de7-466e-8319-577a74bcc481",
        Some("Training and Education"),
    ),
];
