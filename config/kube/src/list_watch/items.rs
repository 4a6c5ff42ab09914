//! Cuts a list, as it comes over the wire, into its items: a list from the server's cache comes in one piece, tens of
//! megabytes of it, and need never be in memory as a whole.

/// Where the scan of a list stands.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// All that is not an item: the list's own fields, and an empty `items`.
    shell: Vec<u8>,
    /// The item that is being collected.
    item: Vec<u8>,
    depth: usize,
    text: Text,
    /// Where in `shell` the last string at the list's own level begins.
    string_start: usize,
    /// The last thing at the list's own level was the key `items` with its colon.
    after_items_key: bool,
    in_items: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    Escape,
}

/// The list object is at depth 1, its `items` at depth 2.
const FIELDS: usize = 1;
const ITEMS: usize = 2;

impl Items {
    /// Takes in the next bytes and calls `each` with every item that is complete.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in bytes {
            let collecting = self.in_items && self.depth > ITEMS;
            match self.text {
                Text::Escape => self.text = Text::Inside,
                Text::Inside if byte == b'\\' => self.text = Text::Escape,
                Text::Inside if byte == b'"' => self.text = Text::Outside,
                Text::Inside => {}
                Text::Outside => self.structure(byte),
            }
            if collecting || (self.in_items && self.depth > ITEMS) {
                self.item.push(byte);
                if self.depth == ITEMS {
                    each(&self.item);
                    self.item.clear();
                }
            } else if !self.in_items || byte == b'[' {
                self.shell.push(byte);
            }
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.text = Text::Inside;
                if self.depth == FIELDS {
                    self.string_start = self.shell.len();
                    self.after_items_key = false;
                }
            }
            b':' if self.depth == FIELDS => {
                self.after_items_key =
                    self.shell.get(self.string_start..).is_some_and(|key| key.trim_ascii() == b"\"items\"");
            }
            b'[' if self.depth == FIELDS && self.after_items_key => {
                self.in_items = true;
                self.depth = ITEMS;
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth < ITEMS {
                    self.in_items = false;
                }
            }
            _ => {}
        }
    }

    /// The list without its items, as JSON.
    pub(super) fn into_shell(self) -> Vec<u8> {
        self.shell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, chunk: usize) -> (Vec<String>, String) {
        let (mut items, mut found) = (Items::default(), Vec::new());
        for bytes in text.as_bytes().chunks(chunk) {
            items.push(bytes, |item| found.push(String::from_utf8(item.to_vec()).unwrap()));
        }
        (found, String::from_utf8(items.into_shell()).unwrap())
    }

    #[test]
    fn items_are_cut_wherever_the_chunks_end() {
        let text = r#"{"kind":"XList","metadata":{"items":[{"no":1}],"resourceVersion":"7"},
            "items" : [ {"a":"}]\"{","b":[1,{"c":[]}]} , {"items":[{}]},{} ] ,"tail":"items","more":[1]}"#;
        let (_, whole) = cut(text, text.len());
        for chunk in 1..text.len() {
            let (items, shell) = cut(text, chunk);
            assert_eq!(items, [r#"{"a":"}]\"{","b":[1,{"c":[]}]}"#, r#"{"items":[{}]}"#, "{}"], "{chunk}");
            assert_eq!(shell, whole, "{chunk}");
        }
        let shell: serde_json::Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(shell["items"], serde_json::json!([]));
        assert_eq!(shell["metadata"]["resourceVersion"], "7");
        assert_eq!(shell["more"], serde_json::json!([1]));
    }

    #[test]
    fn null_and_empty_items() {
        for text in [r#"{"metadata":{},"items":null}"#, r#"{"metadata":{},"items":[]}"#] {
            let (items, shell) = cut(text, 3);
            assert!(items.is_empty());
            assert_eq!(shell, text);
        }
    }

    #[test]
    fn garbage_does_no_harm() {
        for text in ["", "]]]}}}", "[{\"items\":[", "{\"items\":[{\"a\":", "404 page not found", "\"\\"] {
            cut(text, 1);
        }
    }
}
