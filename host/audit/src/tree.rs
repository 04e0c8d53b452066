//! The Merkle tree of RFC 6962 over the entries, as a compact range: the roots of the perfect
//! subtrees from the left, at most one for each bit of the size.

use crate::hash::{self, Hash};

/// A tree that grows at its right edge. Adding a leaf costs two hashes on average.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    /// Largest subtree first.
    roots: Vec<Hash>,
}

impl Tree {
    /// A tree of `size` leaves with these subtrees; none if their number is not that size's.
    pub(crate) fn of(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// How many leaves there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The subtrees' roots, largest first.
    pub(crate) fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Adds a leaf.
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().unwrap_or_default();
            root = hash::node(&left, &root);
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The hash of the whole tree.
    pub(crate) fn root(&self) -> Hash {
        let mut from_the_right = self.roots.iter().rev();
        let Some(last) = from_the_right.next() else {
            return hash::plain(b"");
        };
        from_the_right.fold(*last, |right, left| hash::node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 section 2.1, word for word.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash::plain(b""),
            [one] => *one,
            all => {
                let split = all.len().next_power_of_two() / 2;
                hash::node(&by_definition(&all[..split]), &by_definition(&all[split..]))
            }
        }
    }

    #[test]
    fn it_is_the_tree_of_rfc_6962() {
        let (mut tree, mut leaves) = (Tree::default(), Vec::new());
        for n in 0..130_u32 {
            assert_eq!(tree.root(), by_definition(&leaves), "{n}");
            assert_eq!(Tree::of(u64::from(n), tree.roots().to_vec()), Some(tree.clone()));
            let leaf = hash::leaf(&n.to_be_bytes());
            tree.push(leaf);
            leaves.push(leaf);
        }
        assert_eq!(Tree::of(3, vec![[0; 32]]), None);
    }

    /// The reference roots of Certificate Transparency's own test data.
    #[test]
    fn known_roots() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        for (input, root) in inputs.iter().zip(roots) {
            tree.push(hash::leaf(input));
            assert_eq!(hex::encode(tree.root()), root);
        }
    }
}
