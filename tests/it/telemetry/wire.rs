//! Reads protobuf without a schema: fields by their numbers.

/// A message: its fields in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(Vec<(u64, Field)>);

#[derive(Debug, Clone)]
enum Field {
    Varint(u64),
    Fixed64(u64),
    Bytes(Vec<u8>),
    Fixed32(u32),
}

// === impl Message ===

impl Message {
    /// Fails at bytes that are no message.
    pub(super) fn read(mut bytes: &[u8]) -> Message {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let field = match tag & 7 {
                0 => Field::Varint(varint(&mut bytes)),
                1 => Field::Fixed64(u64::from_le_bytes(array(&mut bytes))),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).unwrap();
                    Field::Bytes(take(&mut bytes, length).to_vec())
                }
                5 => Field::Fixed32(u32::from_le_bytes(array(&mut bytes))),
                other => panic!("wire type {other}"),
            };
            fields.push((tag >> 3, field));
        }
        Message(fields)
    }

    /// The messages in a repeated field.
    pub(super) fn messages(&self, number: u64) -> Vec<Message> {
        let all = self.all(number);
        all.map(|field| Message::read(bytes_of(field))).collect()
    }

    /// The message in a field.
    pub(super) fn message(&self, number: u64) -> Option<Message> {
        self.all(number)
            .last()
            .map(|field| Message::read(bytes_of(field)))
    }

    /// Empty if the field is absent.
    pub(super) fn bytes(&self, number: u64) -> &[u8] {
        self.all(number).last().map(bytes_of).unwrap_or_default()
    }

    /// Empty if the field is absent.
    pub(super) fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number).to_vec()).unwrap()
    }

    /// Zero if the field is absent.
    pub(super) fn varint(&self, number: u64) -> u64 {
        match self.all(number).last() {
            Some(Field::Varint(value)) => *value,
            None => 0,
            other => panic!("field {number}: {other:?}"),
        }
    }

    /// Zero if the field is absent.
    pub(super) fn fixed64(&self, number: u64) -> u64 {
        match self.all(number).last() {
            Some(Field::Fixed64(value)) => *value,
            None => 0,
            other => panic!("field {number}: {other:?}"),
        }
    }

    /// Zero if the field is absent.
    pub(super) fn fixed32(&self, number: u64) -> u32 {
        match self.all(number).last() {
            Some(Field::Fixed32(value)) => *value,
            None => 0,
            other => panic!("field {number}: {other:?}"),
        }
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.all(number).next().is_some()
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        let fields = self.0.iter();
        fields
            .filter(move |(one, _)| *one == number)
            .map(|(_, field)| field)
    }
}

fn bytes_of(field: &Field) -> &[u8] {
    match field {
        Field::Bytes(bytes) => bytes,
        other => panic!("not bytes: {other:?}"),
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number of more than ten bytes");
}

fn array<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    take(bytes, N).try_into().unwrap()
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}
