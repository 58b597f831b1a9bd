// Being written by the lead (stat, pack, pack_tree, unpack_into).
